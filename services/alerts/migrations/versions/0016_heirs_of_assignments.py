"""Each assignment notes to whom it is due, and no longer only whether it is to whoever would lead by now."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("assignments", sa.Column("heir", sa.String(), nullable=True))
    names = ("alert", "past", "heir")
    assignments, alerts = sa.table("assignments", *map(sa.column, names)), sa.table("alerts", *map(sa.column, ("name", "incident")))
    incidents = sa.table("incidents", *map(sa.column, ("name", "lead", "heir")))
    leads_on = (incidents.c.name == alerts.c.incident) & (incidents.c.lead == alerts.c.name) & (incidents.c.heir != sa.literal_column("''"))
    heir = sa.select(incidents.c.heir).where(leads_on, alerts.c.name == assignments.c.alert).scalar_subquery()
    led_on = assignments.c.alert.in_(sa.select(alerts.c.name).where(leads_on))
    past = assignments.c.past.is_(True)
    op.execute(sa.update(assignments).where(past | led_on).values(heir=sa.case((past, ""), else_=heir)))
