"""Facilities, when each entry changed, the log of changes and the request ids."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0002"
down_revision = "0001"

_ENTRIES = ("areas", "agencies", "hotlines")


def upgrade() -> None:
    for table in _ENTRIES:
        op.add_column(table, sa.Column("update_time", UtcTime(), nullable=True))
    op.add_column("agencies", sa.Column("sip_uri", sa.String(), server_default="", nullable=False))
    op.create_table(
        "facilities",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("categories", sa.JSON(), nullable=False),
        sa.Column("agency", sa.String(), nullable=True),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("opening_hours", sa.String(), nullable=False),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("wheelchair", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("alert_text", sa.String(), nullable=False),
        sa.Column("assured_by", sa.String(), nullable=False),
        sa.Column("assured_time", UtcTime(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_facilities"),
        sa.ForeignKeyConstraint(["agency"], ["agencies.name"], name="fk_facilities_agency"),
        sa.ForeignKeyConstraint(["area"], ["areas.name"], name="fk_facilities_area"),
    )
    op.create_index("ix_facilities_agency", "facilities", ["agency"])
    op.create_index("ix_facilities_area", "facilities", ["area"])
    op.create_table(
        "request_keys",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("expire_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_request_keys"),
    )
    op.create_index("ix_request_keys_expire_time", "request_keys", ["expire_time"])
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("audience", sa.SmallInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("traceparent", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_resource", "events", ["resource", "id"])
