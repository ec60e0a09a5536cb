"""What README.md shows is what is answered."""

import re
from pathlib import Path

import httpx

from harness import RunningPlatform

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
