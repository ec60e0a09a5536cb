"""A country's worth of areas and facilities for the bench: Jakarta's own villages, laid side by side until there are enough.

The shapes are real, and so are their sizes and numbers of vertices; the places, names and numbers are made up.
"""

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import MultiPolygon
from sqlalchemy import create_engine, insert, update

from directory.model import Area, Edition, Facility
from siaga.directory.v1 import agency_pb2

VILLAGES = 83_000
FACILITIES = 100_000
KELURAHAN = Path(__file__).parents[3] / "shared" / "data" / "jakarta" / "kelurahan.geojson"
# Jakarta without its islands: where the questions of the bench are asked.
CITY = (-6.36, -6.10, 106.69, 106.97)
_WIDTH, _HEIGHT = 1.0, 1.5
_COLUMNS = 20
_KINDS = [agency_pb2.POLICE, agency_pb2.FIRE, agency_pb2.HOSPITAL, agency_pb2.HEALTH_CENTRE, agency_pb2.COMPLAINT_POST]
_HOURS = ["24/7", "Mo-Fr 08:00-16:00; PH off", "Mo-Su 07:00-21:00", ""]


def fill_database(url: str, villages: int, facilities: int) -> None:
    """Into a migrated SQLite database; the first 267 villages are Jakarta's own."""
    shapes = read_villages()
    with create_engine(url).begin() as connection:
        for name, shape in shapes.items():
            boundary = {"boundary": shapely.to_wkb(shape), "latitude": shape.centroid.y, "longitude": shape.centroid.x}
            connection.execute(update(Area).where(Area.name == name).values(**boundary))
        copies = math.ceil(villages / len(shapes))
        made = [area for copy in range(1, copies) for area in copy_city(shapes, copy)]
        if made:
            connection.execute(insert(Area), made)
        places = list(make_facilities(facilities, copies))
        for start in range(0, len(places), 5000):
            connection.execute(insert(Facility), places[start : start + 5000])
        connection.execute(update(Edition).values(edition="filled"))


def read_villages() -> dict[str, MultiPolygon]:
    features = json.loads(KELURAHAN.read_bytes())["features"]
    shapes = {f"areas/{each['id']}": shapely.geometry.shape(each["geometry"]) for each in features}
    return {name: shape if isinstance(shape, MultiPolygon) else MultiPolygon([shape]) for name, shape in shapes.items()}


def copy_city(shapes: dict[str, MultiPolygon], copy: int) -> Iterator[dict[str, Any]]:
    """A province of its own, with the villages directly below it."""
    east, north = shift_of(copy)
    usual = {"time_zone": "Asia/Jakarta", "emergency_number": "112", "boundary": None}
    code = f"areas/9{copy:03}"
    place = {"latitude": -6.2 + north, "longitude": 106.8 + east}
    yield {"name": code, "display_name": f"Provinsi {copy}", "level": 1, "parent": None, **usual, **place}
    for name, shape in shapes.items():
        moved = shapely.transform(shape, lambda places: np.add(places, (east, north)))
        place = {"latitude": moved.centroid.y, "longitude": moved.centroid.x, "boundary": shapely.to_wkb(moved)}
        village = {"name": f"{code}.{name.removeprefix('areas/')}", "display_name": f"Desa {name[6:]}", "level": 4, "parent": code}
        yield village | usual | place


def shift_of(copy: int) -> tuple[float, float]:
    """How far east and north of Jakarta it lies, in degrees."""
    return (copy % _COLUMNS) * _WIDTH, (copy // _COLUMNS) * _HEIGHT


def make_facilities(number: int, copies: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(1)
    south, north, west, east = CITY
    for index in range(number):
        shift_east, shift_north = shift_of(dice.randrange(copies))
        yield {
            "name": f"facilities/bench-{index}",
            "display_name": f"Fasilitas {index}",
            "categories": [dice.choice(_KINDS)],
            "agency": None,
            "area": "areas/31.71",
            "latitude": dice.uniform(south, north) + shift_north,
            "longitude": dice.uniform(west, east) + shift_east,
            "address": f"Jalan Uji {index}",
            "numbers": [{"number": f"021{index:07}", "use": 1}],
            "opening_hours": dice.choice(_HOURS),
            "languages": ["id"],
            "wheelchair": 0,
            "status": 1,
            "alert_text": "",
            "assured_by": "unconfirmed",
            "assured_time": None,
            "source": "bench",
        }
