"""Alerts of one emergency, and what makes an alert doubtful."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        sa.Column("lead", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("alert_count", sa.Integer(), nullable=False),
        sa.Column("open_count", sa.Integer(), nullable=False),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_incidents")),
    )
    op.create_index("ix_incidents_agency", "incidents", ["agency", "name"], unique=False)

    op.add_column("alerts", sa.Column("incident", sa.String(), server_default="", nullable=False))
    op.add_column("alerts", sa.Column("cell", sa.String(), server_default="", nullable=False))
    op.add_column("alerts", sa.Column("merged_into", sa.String(), server_default="", nullable=False))
    op.add_column("alerts", sa.Column("followed_state", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("alerts", sa.Column("grouping", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("alerts", sa.Column("doubts", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("alerts", sa.Column("history", sa.JSON(), nullable=True))
    for name, column, where in (
        ("ix_alerts_cell", "cell", "close_time IS NULL AND merged_into = ''"),
        ("ix_alerts_waiting", "name", "grouping = 0"),
    ):
        op.create_index(name, "alerts", [column], unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    op.create_index("ix_alerts_incident", "alerts", ["incident", "name"], unique=False)
