"""What all tables of alerts stand on."""

from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import JSON, LargeBinary, MetaData, SmallInteger
from sqlalchemy.orm import DeclarativeBase

from chassis.clock import UtcTime
from chassis.events import EventLog
from chassis.idempotency import RequestKeys
from chassis.timers import Timers


class Model(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy's own form
        datetime: UtcTime,
        IntEnum: SmallInteger,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[int]: JSON,
        bytes: LargeBinary,
    }


log = EventLog(Model.metadata)
keys = RequestKeys(Model.metadata)
timers = Timers(Model.metadata)
