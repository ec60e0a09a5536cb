"""PINs that somebody believes to have set."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("callers", sa.Column("decoy_pin_hash", sa.String(), server_default="", nullable=False))
    op.add_column("callers", sa.Column("decoy_duress_hash", sa.String(), server_default="", nullable=False))
