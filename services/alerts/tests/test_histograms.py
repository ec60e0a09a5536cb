"""What is told of times is within 5 % of what numpy finds in all of them, and what is packed comes out again."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray

from alerts.model.histograms import (
    HOURS,
    MAX_MILLISECONDS,
    PLACES,
    Count,
    Sums,
    Time,
    find_places,
    fold_hours,
    pack_sum,
    sum_by_hour,
    sum_groups,
    unpack,
)
from load.history import make_courses

vectors = st.dictionaries(st.integers(0, HOURS * PLACES - 1), st.integers(1, 10**12), max_size=30)
milliseconds = st.one_of(st.integers(0, 100), st.integers(0, 100_000), st.integers(0, 2 * MAX_MILLISECONDS))


def pack(times: Iterable[int], time: Time = Time.ANSWER) -> bytes:
    packed = b""
    vector: dict[int, int] = {}
    for each in times:
        for place, count in find_places(time, each):
            vector[place] = vector.get(place, 0) + count
    return pack_sum(packed, vector)


def assert_near(times: NDArray[np.int64], time: Time) -> None:
    sums = Sums(sum_groups([pack(times.tolist(), time)], [0], 1))
    assert sums.cases[0, time] == len(times)
    assert sums.find_means()[0, time] == pytest.approx(times.mean() / 1000)
    for share in (0.1, 0.5, 0.9, 0.99, 1.0):
        exact = np.quantile(times, share, method="inverted_cdf") / 1000
        assert sums.find_quantiles(share)[0, time] == pytest.approx(max(exact, 0.01), rel=0.05)


@examples(deadline=None, max_examples=200)
@given(st.lists(milliseconds, min_size=1, max_size=60))
def test_quantiles_are_within_five_percent_and_means_exact(times: list[int]) -> None:
    assert_near(np.minimum(times, MAX_MILLISECONDS), Time.ANSWER)


@pytest.mark.parametrize("time", Time)
def test_a_years_times_of_a_city_are_within_five_percent(time: Time) -> None:
    passed = [course.times[time] for course in make_courses(20_000, seed=3) if course.times[time] is not None]
    assert len(passed) > 100
    assert_near(np.array(passed), time)


def test_the_share_within_a_target_is_exact() -> None:
    times = [14_999, 15_000, 15_001, 9_999, 10_000, 10_001, 20_000, 20_001]
    sums = Sums(sum_groups([pack(times)], [0], 1))
    assert [int(sums.count_within(Time.ANSWER, seconds)[0]) for seconds in (10, 15, 20)] == [2, 5, 7]


def test_no_bucket_is_wider_than_a_tenth() -> None:
    for each in np.geomspace(11, MAX_MILLISECONDS, 5000).astype(int).tolist():
        told = Sums(sum_groups([pack([each])], [0], 1)).find_quantiles(0.5)[0, Time.ANSWER] * 1000
        assert told == pytest.approx(each, rel=0.05)


def test_what_takes_no_time_or_runs_backwards_is_a_case_of_no_time() -> None:
    sums = Sums(sum_groups([pack([0, -5])], [0], 1))
    assert (sums.cases[0, Time.ANSWER], sums.find_means()[0, Time.ANSWER]) == (2, 0)


@examples(deadline=None)
@given(st.lists(vectors, max_size=5))
def test_what_is_packed_comes_out_again(added: list[dict[int, int]]) -> None:
    packed, expected = b"", dict[int, int]()
    for vector in added:
        packed = pack_sum(packed, vector)
        for place, count in vector.items():
            expected[place] = expected.get(place, 0) + count
    places, counts = unpack([packed])
    assert dict(zip(places.tolist(), counts.tolist(), strict=True)) == expected
    by_hour = np.zeros((HOURS, PLACES), np.int64)
    for place, count in expected.items():
        by_hour[divmod(place, PLACES)] += count
    assert (sum_by_hour([packed]) == by_hour).all()
    for vector in (packed, fold_hours(packed)):
        assert (sum_groups([vector], [0], 1)[0] == by_hour.sum(axis=0)).all()


@examples(deadline=None)
@given(vectors, vectors)
def test_what_is_taken_back_is_gone(one: dict[int, int], other: dict[int, int]) -> None:
    both = pack_sum(pack_sum(b"", one), other)
    assert pack_sum(both, {place: -count for place, count in other.items()}) == pack_sum(b"", one)


def test_taking_back_more_than_there_is_fails() -> None:
    with pytest.raises(ValueError, match="rebuilt"):
        pack_sum(pack_sum(b"", {3: 1}), {3: -2})


def test_groups_are_added_up_each_for_itself() -> None:
    one, other = pack_sum(b"", {Count.OPEN: 2}), pack_sum(b"", {Count.OPEN: 3, PLACES + Count.PRANK: 1})
    assert sum_groups([one, other, one], [1, 0, 1], 3)[:, [Count.OPEN, Count.PRANK]].tolist() == [[3, 1], [4, 0], [0, 0]]
