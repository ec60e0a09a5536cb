"""The outline of an alert is counted by itself; and whether whoever raised one answers for an agency."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("by_staff", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("alerts", sa.Column("outline_revision", sa.Integer(), server_default="0", nullable=False))
    op.add_column("alerts", sa.Column("outline_update_time", UtcTime(), nullable=True))
