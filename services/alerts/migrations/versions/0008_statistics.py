"""What the statistics of alerts are kept in, and how a list of what has changed finds it in a long history."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "statistics_countings",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("counted_to", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_statistics_countings")),
    )
    op.create_table(
        "statistics_counted",
        sa.Column("counting", sa.Integer(), nullable=False),
        sa.Column("alert", sa.String(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("hour", sa.SmallInteger(), nullable=False),
        sa.Column("adds", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("counting", "alert", name=op.f("pk_statistics_counted")),
    )
    op.create_table(
        "statistics_sums",
        sa.Column("counting", sa.Integer(), nullable=False),
        sa.Column("span", sa.SmallInteger(), nullable=False),
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        # Before the long one: SQLite finds what follows that by going through all of it.
        sa.Column("whole", sa.LargeBinary(), nullable=True),
        sa.Column("hours", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("counting", "span", "area", "kind", "start", "agency", name=op.f("pk_statistics_sums")),
    )
    op.create_index("ix_alerts_updated", "alerts", ["update_time"], unique=False)
