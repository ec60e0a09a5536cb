"""Thousands of false SOS with some genuine ones between them: none refused, none hidden, and the genuine ones on a screen in time."""

import os
import sys
from pathlib import Path

import pytest

from harness import run_platform
from recovery.flood import endure_flood

pytestmark = pytest.mark.alone
NIGHTLY = "SIAGA_NIGHTLY" in os.environ
FALSE, GENUINE = (10_000, 100) if NIGHTLY else (500, 20)
# Whatever makes an SOS doubtful is looked for in a small part of the time: the longer afterwards, the more came.
DOUBT_SECONDS = 120.0 if NIGHTLY else 30.0
FEW, SOME = 120, 8
# What each of them is found out by.
MUTANTS = {"rank_by_age_alone": "not ranked", "hide_the_doubtful": "hidden", "refuse_in_a_flood": "refused", "read_the_log_seldom": "late"}


async def endure(url: str) -> None:
    with run_platform({"ALERTS_DATABASE_URL": url}) as platform:
        assert await endure_flood(platform, FALSE, GENUINE, DOUBT_SECONDS) == []


@pytest.mark.timeout(900 if NIGHTLY else 120)
async def test_in_a_flood_none_is_refused_or_hidden_and_the_genuine_are_seen_in_time(tmp_path: Path) -> None:
    await endure(f"sqlite:///{tmp_path / 'alerts.db'}")


@pytest.mark.skipif(not NIGHTLY, reason="what is shown and ranked does not depend on the engine")
@pytest.mark.timeout(900)
async def test_so_it_is_on_postgresql(postgres_url: str) -> None:
    await endure(postgres_url)


@pytest.mark.timeout(180)
async def test_services_that_break_it_are_found_out() -> None:
    with run_platform() as platform:
        for mutant, breach in MUTANTS.items():
            platform.replace_alerts([sys.executable, "tests/recovery/mutants.py", mutant])
            wrong = await endure_flood(platform, FEW, SOME, 10.0)
            assert any(each.startswith(breach) for each in wrong), (mutant, wrong)
