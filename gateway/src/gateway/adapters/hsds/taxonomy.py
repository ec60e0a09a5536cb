"""The categories of the contract as a taxonomy, with the contract's own words."""

from typing import Any
from uuid import UUID, uuid5

from gateway.contract import Contract
from siaga.directory.v1.agency_pb2 import Category

TAXONOMY_ID = "5b1c2f0e-8f0c-4c8e-9d43-0b6f7a3f2c11"
_ENUM = ".siaga.directory.v1.Category"


class Taxonomy:
    """`terms` are by the category that they stand for."""

    def __init__(self, contract: Contract) -> None:
        self.itself = {"id": TAXONOMY_ID, "name": "Categories of Siaga", "description": contract.comments[_ENUM]}
        self.terms: dict[Category.ValueType, dict[str, Any]] = {
            category: {
                "id": str(uuid5(UUID(TAXONOMY_ID), word)),
                "code": word,
                "name": word.replace("_", " ").capitalize(),
                "description": contract.comments[f"{_ENUM}.{word}"],
                "language": "en",
                "taxonomy": self.itself["name"],
                "taxonomy_id": TAXONOMY_ID,
            }
            for word, category in Category.items()
            if category
        }
