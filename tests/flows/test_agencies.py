"""docs/agencies.md as an agency's engineer follows it: every command of the page, in one shell, against a running platform."""

import os
import re
import subprocess
from pathlib import Path

from chassis.testing import free_port
from harness import run_platform

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "agencies.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 10
    script = tmp_path / "page.sh"
    script.write_text("\n".join(blocks).replace("8099", str(free_port())))
    with run_platform() as platform:
        environment = os.environ | {"SIAGA": platform.url, "TMPDIR": str(tmp_path)}
        told = subprocess.run(
            ["bash", "-eu", str(script)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=90
        )
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0] == '"operator":"Rina, console 4"'
    assert re.fullmatch(r"siaga\.alerts\.v1\.TestEvent webhooks/[0-9a-f-]{36} \{\}", lines[1])
    raised = r'siaga\.alerts\.v1\.AlertRaised (alerts/[0-9a-f-]{36}) \{"alert": "\1", "drill": false, "restricted": false, "kind": "FIRE", '
    assert re.match(raised, lines[2])
    assert '"eventType":"AlertRaised"' in told.stdout
    assert '"result":"TAKEN","statusCode":204' in told.stdout
    assert '{"redelivered":2}' in told.stdout
    assert told.stdout.rstrip().endswith('"state":"DISABLED","disableReason":"REQUESTED"\n{}')
