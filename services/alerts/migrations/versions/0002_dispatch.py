"""Units and what they are sent to, several agencies, timers, texts with callers."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0002"
down_revision = "0001"

# For rows of the version before this one, while both run.
_EVER = "1970-01-01 00:00:00.000000+00:00"


def upgrade() -> None:
    op.create_table(
        "timers",
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("due_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("resource", "kind", "subject", name=op.f("pk_timers")),
    )
    op.create_index("ix_timers_due_time", "timers", ["due_time"], unique=False)

    op.create_table(
        "units",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("crew", sa.JSON(), nullable=False),
        sa.Column("duty", sa.SmallInteger(), nullable=False),
        sa.Column("duty_time", UtcTime(), nullable=True),
        sa.Column("alert", sa.String(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("accuracy_meters", sa.Double(), nullable=True),
        sa.Column("fix_time", UtcTime(), nullable=True),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_units")),
    )
    op.create_index("ix_units_agency", "units", ["agency", "name"], unique=False)

    op.create_table(
        "assignments",
        sa.Column("alert", sa.String(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("crew", sa.JSON(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("dispatch_time", UtcTime(), nullable=False),
        sa.Column("accept_time", UtcTime(), nullable=True),
        sa.Column("en_route_time", UtcTime(), nullable=True),
        sa.Column("arrive_time", UtcTime(), nullable=True),
        sa.Column("end_time", UtcTime(), nullable=True),
        sa.Column("roll_time", UtcTime(), nullable=True),
        sa.Column("roll_step", sa.SmallInteger(), nullable=False),
        sa.Column("missed_roll_calls", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alerts.name"], name=op.f("fk_assignments_alert")),
        sa.PrimaryKeyConstraint("alert", "number", name=op.f("pk_assignments")),
    )
    op.create_index("ix_assignments_unit", "assignments", ["unit", "alert"], unique=False)

    op.create_table(
        "messages",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("alert", sa.String(), nullable=False),
        sa.Column("sender", sa.SmallInteger(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alerts.name"], name=op.f("fk_messages_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.create_index("ix_messages_alert", "messages", ["alert", "id"], unique=False)

    op.add_column("alerts", sa.Column("escalation_level", sa.Integer(), server_default="0", nullable=False))
    op.add_column("alerts", sa.Column("dispatch_time", UtcTime(), nullable=True))
    op.add_column("alerts", sa.Column("arrive_time", UtcTime(), nullable=True))
    op.add_column("alerts", sa.Column("state_time", UtcTime(), server_default=_EVER, nullable=False))
    op.add_column("alerts", sa.Column("limit_step", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("alerts", sa.Column("withheld", sa.JSON(), server_default="{}", nullable=False))

    op.add_column("responses", sa.Column("requester", sa.String(), server_default="", nullable=False))
    op.add_column("responses", sa.Column("instead_of", sa.String(), server_default="", nullable=False))
    op.add_column("responses", sa.Column("hand_over", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("responses", sa.Column("reason", sa.String(), server_default="", nullable=False))
    op.add_column("responses", sa.Column("escalation", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("responses", sa.Column("clock_time", UtcTime(), server_default=_EVER, nullable=False))
    op.add_column("responses", sa.Column("step", sa.SmallInteger(), server_default="0", nullable=False))
    op.execute("UPDATE alerts SET state_time = update_time")
    op.execute("UPDATE responses SET clock_time = request_time")
    op.execute("UPDATE responses SET step = 1 WHERE alert IN (SELECT name FROM alerts WHERE deliver_time IS NOT NULL)")
    # Whoever has not been answered yet is not forgotten.
    op.execute(
        "INSERT INTO timers (resource, kind, subject, due_time) SELECT name, 'answer', agency, create_time FROM alerts "
        "WHERE close_time IS NULL AND state = 1"
    )
