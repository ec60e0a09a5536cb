"""What is known of telephone numbers: their last positions, and which alerts are theirs."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "numbers",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("accuracy_meters", sa.Double(), nullable=True),
        sa.Column("fix_time", UtcTime(), nullable=True),
        sa.Column("source", sa.SmallInteger(), nullable=False),
        sa.Column("raise_count", sa.SmallInteger(), nullable=False),
        sa.Column("raise_time", UtcTime(), nullable=True),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_numbers")),
    )
    op.create_index("ix_numbers_update_time", "numbers", ["update_time"], unique=False)
    op.create_table(
        "number_alerts",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("alert", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alerts.name"], name=op.f("fk_number_alerts_alert")),
        sa.PrimaryKeyConstraint("hash", "alert", name=op.f("pk_number_alerts")),
    )
    op.create_index("ix_number_alerts_alert", "number_alerts", ["alert"], unique=False)
