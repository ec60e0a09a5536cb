"""A cancel under duress is answered as one by the right PIN, to the byte and in the same time, by both doors."""

import os
import sys

import pytest

from harness import run_platform
from recovery.duress import BAR_MS, DOORS, cancel_side_by_side

pytestmark = pytest.mark.alone
NIGHTLY = "SIAGA_NIGHTLY" in os.environ
# Of each PIN at each door, four calls in all.
ROUNDS = 500 if NIGHTLY else 8
# Three writes more take a few milliseconds, which cannot hide among so many calls; a hash more takes twenty.
MUTANTS = {"stop_at_the_first_pin": 20, "note_duress_before_the_reply": 200}


@pytest.mark.timeout(1200)
def test_nobody_can_tell_a_cancel_under_duress() -> None:
    with run_platform() as platform:
        compared = list(cancel_side_by_side(platform, ROUNDS).compare())
    for asked, difference, alike in compared:
        assert alike, asked
        assert not difference.is_proved, asked
        # Among few calls chance alone may make as much.
        assert not NIGHTLY or abs(difference.median) < BAR_MS, asked


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS if NIGHTLY else ["stop_at_the_first_pin"])
def test_a_service_that_takes_longer_for_one_of_them_is_found_out(mutant: str) -> None:
    with run_platform(alerts=[sys.executable, "tests/recovery/mutants.py", mutant]) as platform:
        compared = list(cancel_side_by_side(platform, MUTANTS[mutant]).compare())
    assert {asked for asked, difference, _ in compared if difference.is_proved} == {f"alerts.CancelAlert by {door}" for door in DOORS}
