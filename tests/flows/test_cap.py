"""docs/cap.md as somebody follows it: every command of the page, in one shell, against a running platform."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import RunningPlatform, run_platform

PAGE = (Path(__file__).parents[2] / "docs" / "cap.md").read_text()
TO_TRY, TO_SIGN = (re.findall(r"^```sh\n(.*?)^```$", part, re.DOTALL | re.MULTILINE) for part in PAGE.split("## To sign them"))
WITH_THE_KEY = "GATEWAY_CAP_KEY_FILE=$PWD/cap.pem make run\n"


def follow(blocks: Sequence[str], folder: Path, platform: RunningPlatform | None = None) -> str:
    """What the commands print; they are all done, and none fails."""
    environment = os.environ | ({"U": platform.url} if platform else {})
    told = subprocess.run(
        ["bash", "-eu", "-c", "\n".join(blocks)], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=90
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    assert len(TO_TRY) == 3
    with run_platform() as platform:
        told = follow(TO_TRY, tmp_path, platform)
    states = re.findall(r'"state":"([A-Z]+)"', told)
    assert states == ["ISSUED", "ISSUED", "UPDATED", "CANCELLED"]
    assert told.count('"proposedInfo":{') == 1
    assert re.search(r"<feed .*<title>.*Banjir di Gambir", told, re.DOTALL)
    assert re.findall(r"<msgType>(\w+)</msgType>", told) == ["Alert", "Update"]
    assert re.findall(r"<value>(\S+)</value>", told) == ["31.71.01", "31.71"]
    assert '"note":"Air surut."' in told


@pytest.mark.skipif(not shutil.which("xmlsec1") or not shutil.which("openssl"), reason="needs xmlsec1 and openssl")
def test_a_signed_document_is_found_good_and_a_changed_one_is_not(tmp_path: Path) -> None:
    make_key, verify = TO_SIGN
    assert make_key.endswith(WITH_THE_KEY)
    follow([make_key.removesuffix(WITH_THE_KEY)], tmp_path)
    with run_platform({"GATEWAY_CAP_KEY_FILE": str(tmp_path / "cap.pem")}) as platform:
        follow([*TO_TRY[:1], verify], tmp_path, platform)
    document = tmp_path / "warning.xml"
    document.write_bytes(document.read_bytes().replace(b"60 cm", b"6 cm"))
    with pytest.raises(AssertionError, match="FAIL"):
        follow(verify.splitlines()[-1:], tmp_path)
