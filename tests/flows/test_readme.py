"""What README.md shows is what is answered."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import httpx

from harness import RunningPlatform, run_platform

README = Path(__file__).parents[2] / "README.md"


def test_whom_to_call_nearby_is_answered_as_the_readme_shows(platform: RunningPlatform) -> None:
    shown = re.search(r"^curl '(\S+/v1/contacts:nearby\?\S+)'\n```\n\n```\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert shown
    # Contact by contact and on one page: other tests have brought in theirs.
    answer = httpx.get(shown[1].replace("http://localhost:8080", platform.url) + "&pageSize=1000").text
    pieces = re.split(r'…|,(?=\{"name")', shown[2].replace("\n", "").removeprefix('{"contacts":['))
    kept = [re.sub(r'"nextPageToken".*(?=,"emergencyNumber")', "", piece).strip("[]{},") for piece in pieces]
    assert len(kept) == 4
    for piece in kept:
        assert piece in answer


def test_the_tour_prints_what_the_readme_shows() -> None:
    tour = re.search(r"^## A tour$(.*?)^## ", README.read_text(), re.DOTALL | re.MULTILINE)
    assert tour
    lines = [line for block in re.findall(r"^```console\n(.*?)^```$", tour[1], re.DOTALL | re.MULTILINE) for line in block.splitlines()]
    commands = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert len(commands) > 15
    with run_platform() as platform:
        # One shell for all of them; a line that no command prints stands between what they print.
        address = platform.url.removeprefix("http://")
        script = "\n".join(f"{lines[number][2:]}\necho '$'" for number in commands).replace("localhost:8080", address)
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=90)
    assert not done.stderr
    printed = done.stdout.split("$\n")
    for (number, following), answer in zip(pairwise([*commands, len(lines)]), printed, strict=False):
        assert answer.splitlines() == lines[number + 1 : following], lines[number]
