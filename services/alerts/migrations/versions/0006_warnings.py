"""Public warnings, their messages, and their updates that await a second person."""

import sqlalchemy as sa
from alembic import op

from chassis.clock import UtcTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "warnings",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("agency", sa.String(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("approver", sa.String(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("sender_name", sa.String(), nullable=False),
        sa.Column("sent_time", UtcTime(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("south", sa.Double(), nullable=True),
        sa.Column("west", sa.Double(), nullable=True),
        sa.Column("north", sa.Double(), nullable=True),
        sa.Column("east", sa.Double(), nullable=True),
        sa.Column("create_time", UtcTime(), nullable=False),
        sa.Column("update_time", UtcTime(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        *_info(),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_warnings")),
    )
    op.create_index("ix_warnings_expire_time", "warnings", ["expire_time"], unique=False)
    op.create_index("ix_warnings_sent_time", "warnings", ["sent_time"], unique=False)

    op.create_table(
        "warning_messages",
        sa.Column("warning", sa.String(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("sender_name", sa.String(), nullable=False),
        sa.Column("sent_time", UtcTime(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        *_info(),
        sa.ForeignKeyConstraint(["warning"], ["warnings.name"], name=op.f("fk_warning_messages_warning")),
        sa.PrimaryKeyConstraint("warning", "number", name=op.f("pk_warning_messages")),
    )

    op.create_table(
        "warning_proposals",
        sa.Column("warning", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=False),
        *_info(),
        sa.ForeignKeyConstraint(["warning"], ["warnings.name"], name=op.f("fk_warning_proposals_warning")),
        sa.PrimaryKeyConstraint("warning", name=op.f("pk_warning_proposals")),
    )

    op.create_table(
        "warning_areas",
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("warning", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["warning"], ["warnings.name"], name=op.f("fk_warning_areas_warning")),
        sa.PrimaryKeyConstraint("area", "warning", name=op.f("pk_warning_areas")),
    )
    op.create_index("ix_warning_areas_warning", "warning_areas", ["warning"], unique=False)


def _info() -> list[sa.Column[object]]:
    """What is said, alike in the three tables."""
    return [
        sa.Column("categories", sa.JSON(), nullable=False),
        sa.Column("response_types", sa.JSON(), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("certainty", sa.SmallInteger(), nullable=False),
        sa.Column("indonesian", sa.JSON(), nullable=False),
        sa.Column("english", sa.JSON(), nullable=True),
        sa.Column("areas", sa.JSON(), nullable=False),
        sa.Column("polygons", sa.JSON(), nullable=False),
        sa.Column("circles", sa.JSON(), nullable=False),
        sa.Column("onset_time", UtcTime(), nullable=True),
        sa.Column("effective_time", UtcTime(), nullable=True),
        sa.Column("expire_time", UtcTime(), nullable=False),
        sa.Column("contact", sa.String(), nullable=False),
        sa.Column("web", sa.String(), nullable=False),
        sa.Column("reached", sa.JSON(), nullable=False),
        sa.Column("wide", sa.Boolean(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
    ]
