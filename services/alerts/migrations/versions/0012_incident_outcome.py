"""How all of an incident was resolved, so that nobody does it twice."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("incidents", sa.Column("outcome", sa.SmallInteger(), server_default="0", nullable=False))
