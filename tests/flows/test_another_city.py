"""docs/another-city.md as a person follows it: every command of the page, in one shell, against a running platform."""

import os
import re
import subprocess
from pathlib import Path

from harness import run_platform

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "another-city.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 8
    script = tmp_path / "page.sh"
    script.write_text("\n".join(blocks))
    with run_platform() as platform:
        environment = os.environ | {"SIAGA": platform.url, "DIRECTORY_LISTEN": platform.address("directory"), "TMPDIR": str(tmp_path)}
        told = subprocess.run(["bash", "-eu", str(script)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    # The village's district and who answers there; the hospital of the map; and nothing to change at the end.
    assert '"name":"areas/32.73.01"' in told.stdout.replace(" ", "")
    assert "agencies/bandung-fire" in told.stdout
    assert "RS Contoh" in told.stdout
    assert told.stdout.rstrip().endswith("nothing was changed: added 0, changed 0, unchanged 2, removed 0, kept by hand 0")
