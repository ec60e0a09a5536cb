"""Where an agency may warn the public: where it answers, and across the border as far as a danger on the border needs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from alerts.errors import OutsideJurisdiction
from alerts.model.reach import Regions


class Covered(NamedTuple):
    """Who answers in an area for a category of the directory; within it, unless an area there names another one."""

    area: str
    category: int
    agency: str


class Jurisdiction:
    """By the directory's coverage; whoever stands above an agency answers for it. `find_room` knows who takes every SOS of an area."""

    def __init__(self, regions: Regions, coverage: Iterable[Covered], parents: Mapping[str, str], find_room: Callable[[str], str]) -> None:
        self._regions, self._parents, self._find_room = regions, parents, find_room
        self._coverage: dict[str, dict[int, str]] = {}
        for area, category, agency in coverage:
            self._coverage.setdefault(area, {})[category] = agency

    def find_crossed(self, agency: str, named: Sequence[str], met: Sequence[str]) -> list[str]:
        """Those of the areas `met` by shapes that are others', and lie beside an area of the agency's own that is reached, too.
        Raises OutsideJurisdiction: an area is others' that was named, or that lies beside none.
        """
        for area in named:
            self._require(all(self._answers(agency, each) for each in self._find_ruled(area)), area)
        # A larger area is met wherever one within it is, and says nothing more.
        larger = {each for area in met for each in self._regions.find_around(area) if each != area}
        smallest = [area for area in met if area not in larger]
        own = {each for area in named for each in self._regions.find_within(area)}
        own.update(area for area in smallest if self._answers(agency, area))
        crossed = [area for area in smallest if area not in own]
        for area in crossed:
            self._require(not own.isdisjoint(self._regions.find_beside(area)), area)
        return crossed

    def _require(self, met: bool, area: str) -> None:  # noqa: FBT001  # what is required
        if not met:
            raise OutsideJurisdiction(area=area, agency=self._find_room(area))

    def _find_ruled(self, area: str) -> Iterator[str]:
        """The area, and whatever within it somebody else may answer for."""
        yield area
        yield from (each for each in self._regions.find_within(area) if each != area and each in self._coverage)

    def _answers(self, agency: str, area: str) -> bool:
        answering: dict[int, str] = {}
        for around in self._regions.find_around(area):
            answering = self._coverage.get(around, {}) | answering
        return any(agency in self._find_chain(each) for each in {self._find_room(area), *answering.values()})

    def _find_chain(self, agency: str) -> Iterator[str]:
        """The agency and those above it."""
        while agency:
            yield agency
            agency = self._parents.get(agency, "")
