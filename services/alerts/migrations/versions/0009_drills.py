"""Exercises of one agency, exercise units, and what is removed of drills."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("drill_agency", sa.String(), server_default="", nullable=False))
    op.add_column("units", sa.Column("drill", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("incidents", sa.Column("drill", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "ix_alerts_drills",
        "alerts",
        ["update_time"],
        unique=False,
        sqlite_where=sa.text("drill IS 1"),
        postgresql_where=sa.text("drill IS true"),
    )
    op.execute("UPDATE incidents SET drill = (SELECT drill FROM alerts WHERE alerts.name = incidents.lead)")
