"""Areas, agencies, hotlines, coverage, and the row that says which edition of them this is."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "areas",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("emergency_number", sa.String(), nullable=False),
        sa.Column("boundary", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_areas"),
        sa.ForeignKeyConstraint(["parent"], ["areas.name"], name="fk_areas_parent"),
    )
    op.create_table(
        "agencies",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("assured_by", sa.String(), nullable=False),
        sa.Column("assured_time", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_agencies"),
        sa.ForeignKeyConstraint(["parent"], ["agencies.name"], name="fk_agencies_parent"),
    )
    op.create_table(
        "hotlines",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("categories", sa.JSON(), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("area", sa.String(), nullable=True),
        sa.Column("assured_by", sa.String(), nullable=False),
        sa.Column("assured_time", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_hotlines"),
        sa.ForeignKeyConstraint(["area"], ["areas.name"], name="fk_hotlines_area"),
    )
    op.create_table(
        "coverage",
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("category", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("area", "category", name="pk_coverage"),
        sa.ForeignKeyConstraint(["area"], ["areas.name"], name="fk_coverage_area"),
        sa.ForeignKeyConstraint(["agency"], ["agencies.name"], name="fk_coverage_agency"),
    )
    edition = op.create_table(
        "edition",
        sa.Column("edition", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("edition", name="pk_edition"),
    )
    # There is always this one row to lock; empty, it says that nothing has been put in yet.
    op.bulk_insert(edition, [{"edition": ""}])
