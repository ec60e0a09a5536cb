"""Each assignment notes to whom it is due, and no longer only whether it is to whoever would lead by now."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("assignments", sa.Column("heir", sa.String(), nullable=True))
    names = ("alert", "past", "heir")
    assignments, incidents = sa.table("assignments", *map(sa.column, names)), sa.table("incidents", *map(sa.column, ("lead", "heir")))
    heir = sa.select(sa.func.max(incidents.c.heir)).where(incidents.c.lead == assignments.c.alert).scalar_subquery()
    led_on = assignments.c.alert.in_(sa.select(incidents.c.lead).where(incidents.c.heir != sa.literal_column("''")))
    past = assignments.c.past.is_(True)
    op.execute(sa.update(assignments).where(past | led_on).values(heir=sa.case((past, ""), else_=heir)))
    op.drop_column("assignments", "past")
