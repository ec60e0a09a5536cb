"""How long an agency may take for an alert."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("agencies", sa.Column("alert_policy", sa.JSON(), nullable=True))
