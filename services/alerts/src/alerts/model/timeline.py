"""What is kept beside an alert: the caller's other positions, notes, and texts with the caller."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ForeignKey, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.model.tables import Model
from chassis.events import Event


class Entry(NamedTuple):
    """Of an alert's timeline; `number` is its place there, for whoever is shown it."""

    number: int
    event: Event


class Position(Model):
    """A place of the caller other than the live one, which stands in the alert."""

    __tablename__ = "positions"

    id: Mapped[int] = mapped_column(primary_key=True)
    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"), index=True)
    latitude: Mapped[float]
    longitude: Mapped[float]
    accuracy_meters: Mapped[float | None]
    fix_time: Mapped[datetime]
    source: Mapped[int] = mapped_column(SmallInteger)
    receive_time: Mapped[datetime]


class Note(Model):
    """What somebody wrote in the timeline; the log says that it was written and never what."""

    __tablename__ = "notes"

    id: Mapped[str] = mapped_column(primary_key=True)
    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"), index=True)
    text: Mapped[str]


class Message(Model):
    """A text between the caller and whoever answers."""

    __tablename__ = "messages"

    id: Mapped[str] = mapped_column(primary_key=True)
    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"))
    sender: Mapped[int] = mapped_column(SmallInteger)
    operator: Mapped[str]
    text: Mapped[str]
    create_time: Mapped[datetime]

    __table_args__ = (Index("ix_messages_alert", "alert", "id"),)
