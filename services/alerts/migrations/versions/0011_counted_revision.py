"""Which revision of an alert was counted; those counted before are looked at once more when something happens to them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("statistics_counted", sa.Column("revision", sa.Integer(), server_default="0", nullable=False))
