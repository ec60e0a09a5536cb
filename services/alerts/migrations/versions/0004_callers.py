"""The PINs of callers, whom an alert must not reach, and what callers want erased."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "callers",
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("pin_hash", sa.String(), nullable=False),
        sa.Column("duress_hash", sa.String(), nullable=False),
        sa.Column("next_pin_hash", sa.String(), nullable=True),
        sa.Column("next_duress_hash", sa.String(), nullable=True),
        sa.Column("wrong_count", sa.SmallInteger(), nullable=False),
        sa.Column("wrong_time", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("user", name=op.f("pk_callers")),
    )
    op.add_column("alerts", sa.Column("erase_time", UtcTime(), nullable=True))
    op.add_column("alerts", sa.Column("conflict_agency", sa.String(), server_default="", nullable=False))
