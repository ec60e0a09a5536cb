"""An alert as one of several of an emergency."""

from typing import Any

from sqlalchemy import JSON, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column


class Member:
    """What it belongs to, and what was found when somebody looked at that."""

    incident: Mapped[str]
    # Of the H3 grid, where help was needed when it was raised; empty when unknown.
    cell: Mapped[str]
    # The alert that stands for it, and how far the help for that one has come.
    merged_into: Mapped[str]
    followed_state: Mapped[int] = mapped_column(SmallInteger)
    grouping: Mapped[int] = mapped_column(SmallInteger)
    doubts: Mapped[list[int]]
    # Of its caller: how many alerts, pranks and false alarms before.
    history: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
