"""the tables of the foundation."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("caller_state", sa.SmallInteger(), nullable=False),
        sa.Column("subject", sa.SmallInteger(), nullable=False),
        sa.Column("channel", sa.SmallInteger(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("callback_phone", sa.String(), nullable=False),
        sa.Column("contact_preference", sa.SmallInteger(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("accuracy_meters", sa.Double(), nullable=True),
        sa.Column("fix_time", UtcTime(), nullable=True),
        sa.Column("location_source", sa.SmallInteger(), nullable=False),
        sa.Column("target_latitude", sa.Double(), nullable=True),
        sa.Column("target_longitude", sa.Double(), nullable=True),
        sa.Column("target_address", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.Column("restricted", sa.Boolean(), nullable=False),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("routing", sa.SmallInteger(), nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        sa.Column("cancel_claim", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("external_ids", sa.JSON(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("deliver_time", UtcTime(), nullable=True),
        sa.Column("acknowledge_time", UtcTime(), nullable=True),
        sa.Column("close_time", UtcTime(), nullable=True),
        sa.Column("cancel_time", UtcTime(), nullable=True),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("caller_update_time", UtcTime(), nullable=False),
        sa.Column("caller_revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alerts")),
    )
    op.create_index(
        "ix_alerts_open",
        "alerts",
        ["name"],
        unique=False,
        sqlite_where=sa.text("close_time IS NULL"),
        postgresql_where=sa.text("close_time IS NULL"),
    )
    op.create_index("ix_alerts_user", "alerts", ["user", "name"], unique=False)

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
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_resource", "events", ["resource", "id"], unique=False)

    op.create_table(
        "request_keys",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("expire_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_request_keys")),
    )
    op.create_index("ix_request_keys_expire_time", "request_keys", ["expire_time"], unique=False)

    op.create_table(
        "notes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("alert", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alerts.name"], name=op.f("fk_notes_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
    )
    op.create_index("ix_notes_alert", "notes", ["alert"], unique=False)

    op.create_table(
        "positions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert", sa.String(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.Column("accuracy_meters", sa.Double(), nullable=True),
        sa.Column("fix_time", UtcTime(), nullable=False),
        sa.Column("source", sa.SmallInteger(), nullable=False),
        sa.Column("receive_time", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alerts.name"], name=op.f("fk_positions_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_positions")),
    )
    op.create_index("ix_positions_alert", "positions", ["alert"], unique=False)

    op.create_table(
        "responses",
        sa.Column("alert", sa.String(), nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("claimant", sa.String(), nullable=False),
        sa.Column("request_time", UtcTime(), nullable=False),
        sa.Column("accept_time", UtcTime(), nullable=True),
        sa.Column("end_time", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["alert"], ["alerts.name"], name=op.f("fk_responses_alert")),
        sa.PrimaryKeyConstraint("alert", "agency", name=op.f("pk_responses")),
    )
    op.create_index("ix_responses_agency", "responses", ["agency", "alert"], unique=False)
