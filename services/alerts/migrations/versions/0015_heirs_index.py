"""Those who would lead an incident are found among few."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    few = sa.text("heir <> ''")
    op.create_index("ix_incidents_heir", "incidents", ["heir"], sqlite_where=few, postgresql_where=few)
