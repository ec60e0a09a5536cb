"""Who would lead an incident, had its lead closed when its caller was made to call it off. PostgreSQL keeps the vectors of the statistics
as they are. What was found of callers goes with what they had erased before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("incidents", sa.Column("heir", sa.String(), server_default="", nullable=False))
    op.add_column("assignments", sa.Column("past", sa.Boolean(), server_default=sa.false(), nullable=False))
    if op.get_bind().dialect.name == "postgresql":
        # To unpack them took longer than to read them. Of those that are there it does so until they change.
        for column in ("whole", "hours"):
            op.execute(f"ALTER TABLE statistics_sums ALTER {column} SET STORAGE EXTERNAL")
    alerts = sa.table("alerts", *map(sa.column, ("erase_time", "close_time", "history")), sa.column("doubts", sa.JSON()))
    erased = alerts.c.erase_time.is_not(None) & alerts.c.close_time.is_not(None)
    op.execute(sa.update(alerts).where(erased).values(doubts=[], history=None))
