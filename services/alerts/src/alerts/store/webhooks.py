"""The questions about webhooks and their deliveries."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import CursorResult, and_, delete, exists, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.deliveries import About, Cursor, Delivery, DeliveryState
from alerts.model.webhooks import Webhook, WebhookSecret, WebhookState

# The number has no meaning but to be the same in every replica.
_LOCK = text("SELECT pg_advisory_xact_lock(358444844867)")


def add_webhook(session: Session, webhook: Webhook, secret: WebhookSecret) -> None:
    session.add(webhook)
    # The secret's row refers to it, and no relationship tells SQLAlchemy so.
    session.flush()
    session.add(secret)


def find_webhook(session: Session, name: str, *, for_update: bool = False) -> Webhook | None:
    question = select(Webhook).where(Webhook.name == name, Webhook.delete_time.is_(None))
    if for_update:
        question = question.with_for_update().execution_options(populate_existing=True)
    return session.scalars(question).one_or_none()


def count_webhooks(session: Session, agency: str) -> int:
    """Before another one is made: whoever makes one counts after the other, or two would take the last place."""
    if session.connection().dialect.name == "postgresql":
        session.execute(_LOCK)
    return session.scalars(select(func.count()).where(Webhook.agency == agency, Webhook.delete_time.is_(None))).one()


def list_webhooks(session: Session, agency: str, states: Collection[int], after: str, limit: int) -> Sequence[Webhook]:
    """The oldest first."""
    question = select(Webhook).where(Webhook.agency == agency, Webhook.delete_time.is_(None), Webhook.name > after)
    if states:
        question = question.where(Webhook.state.in_(states))
    return session.scalars(question.order_by(Webhook.name).limit(limit)).all()


def find_enabled_webhooks(session: Session) -> Sequence[Webhook]:
    return session.scalars(select(Webhook).where(Webhook.state == WebhookState.ENABLED, Webhook.delete_time.is_(None))).all()


def add_secret(session: Session, secret: WebhookSecret) -> None:
    session.add(secret)


def find_secret(session: Session, id: str) -> WebhookSecret | None:  # noqa: A002
    return session.get(WebhookSecret, id)


def find_secrets(session: Session, webhook: str, now: datetime) -> Sequence[WebhookSecret]:
    """Those in force, the newest first."""
    in_force = or_(WebhookSecret.expire_time.is_(None), WebhookSecret.expire_time > now)
    return session.scalars(select(WebhookSecret).where(WebhookSecret.webhook == webhook, in_force).order_by(WebhookSecret.id.desc())).all()


def remove_secrets(session: Session, webhook: str, but: Collection[str] = ()) -> None:
    session.execute(delete(WebhookSecret).where(WebhookSecret.webhook == webhook, WebhookSecret.id.not_in(but)))


def add_deliveries(session: Session, deliveries: Sequence[Delivery]) -> None:
    """As rows: those that were read from the log were so outside of this transaction, which may be tried again."""
    if deliveries:
        names = Delivery.__table__.c.keys()
        session.execute(insert(Delivery), [{name: getattr(each, name) for name in names} for each in deliveries])


def find_delivery(session: Session, id: str, *, for_update: bool = False) -> Delivery | None:  # noqa: A002
    return session.get(Delivery, id, with_for_update=for_update, populate_existing=for_update)


def list_deliveries(session: Session, webhook: str, states: Collection[int], before: str, limit: int) -> Sequence[Delivery]:
    """The newest first."""
    question = select(Delivery).where(Delivery.webhook == webhook)
    if states:
        question = question.where(Delivery.state.in_(states))
    if before:
        question = question.where(Delivery.id < before)
    return session.scalars(question.order_by(Delivery.id.desc()).limit(limit)).all()


def lock_deliveries_since(session: Session, webhook: str, since: datetime, states: Collection[int], limit: int) -> Sequence[Delivery]:
    """The oldest first."""
    question = select(Delivery).where(Delivery.webhook == webhook, Delivery.id >= first_id(since))
    if states:
        question = question.where(Delivery.state.in_(states))
    return session.scalars(question.order_by(Delivery.id).limit(limit).with_for_update()).all()


def find_due_webhooks(session: Session, sender: str, now: datetime) -> Sequence[str]:
    """The names of those that `sender` has something to send to."""
    due = exists().where(Delivery.webhook == Webhook.name, Delivery.due_time <= now, Delivery.give_up_time > now)
    question = select(Webhook.name).where(
        Webhook.state == WebhookState.ENABLED,
        Webhook.delete_time.is_(None),
        or_(Webhook.blocked_until.is_(None), Webhook.blocked_until <= now),
        or_(Webhook.sender == sender, Webhook.sender_until.is_(None), Webhook.sender_until <= now),
        due,
    )
    return session.scalars(question).all()


def find_webhooks_of(session: Session, sender: str) -> Sequence[Webhook]:
    """Those that a process sends to."""
    return session.scalars(select(Webhook).where(Webhook.sender == sender).with_for_update()).all()


def find_due_deliveries(session: Session, webhook: str, now: datetime, limit: int) -> Sequence[tuple[Delivery, About | None]]:
    """The longest due first, each with what is told of its alert as it is now; None where that was erased, once it has ended."""
    kept = or_(Alert.erase_time.is_(None), Alert.close_time.is_(None))
    question = (
        select(Delivery, Alert.drill, Alert.restricted)
        .outerjoin(Alert, and_(Alert.name == Delivery.subject, kept))
        .where(Delivery.webhook == webhook, Delivery.due_time <= now, Delivery.give_up_time > now)
        .order_by(Delivery.due_time, Delivery.id)
        .limit(limit)
    )
    return [(row[0], None if row.drill is None else About(row.drill, row.restricted)) for row in session.execute(question)]


def find_deliveries(session: Session, ids: Collection[str]) -> Mapping[str, Delivery]:
    """Those that there are, by id; locked in one order, so that nobody waits for somebody who waits."""
    question = select(Delivery).where(Delivery.id.in_(ids)).order_by(Delivery.id)
    return {each.id: each for each in session.scalars(question.with_for_update())}


def lock_deliveries_about(session: Session, subjects: Collection[str]) -> Sequence[Delivery]:
    """In the same order."""
    question = select(Delivery).where(Delivery.subject.in_(subjects)).order_by(Delivery.id)
    return session.scalars(question.with_for_update()).all() if subjects else []


def hurry_deliveries(session: Session, webhook: str, now: datetime) -> None:
    """Whatever waits for its next attempt waits no longer. Locked in the same order."""
    waiting = select(Delivery.id).where(Delivery.webhook == webhook, Delivery.due_time > now).order_by(Delivery.id).with_for_update()
    session.execute(update(Delivery).where(Delivery.id.in_(waiting)).values(due_time=now))


def find_position(session: Session, consumer: str) -> int:
    """How far the consumer has read; 0 for one that has not begun."""
    return session.scalars(select(Cursor.position).where(Cursor.consumer == consumer)).one_or_none() or 0


def move_cursor(session: Session, consumer: str, begun: int, reached: int) -> bool:
    """False where another reader has moved it from `begun` meanwhile."""
    if not begun and session.get(Cursor, consumer) is None:
        # Of several that begin at the same time one goes on.
        insert_on = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[session.connection().dialect.name]
        result = session.execute(insert_on(Cursor).values(consumer=consumer, position=reached).on_conflict_do_nothing())
    else:
        move = update(Cursor).where(Cursor.consumer == consumer, Cursor.position == begun).values(position=reached)
        result = session.execute(move)
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def give_up_deliveries(session: Session, now: datetime, limit: int) -> int:
    """Those that nobody could try in their time; the number of them."""
    late = select(Delivery.id).where(Delivery.due_time <= now, Delivery.give_up_time <= now).limit(limit)
    found = find_deliveries(session, session.scalars(late).all()).values()
    for each in found:
        # It may have been taken, or queued anew, while it was waited for.
        if each.due_time and each.due_time <= now and each.give_up_time <= now:
            each.state, each.due_time = DeliveryState.GIVEN_UP, None
    return len(found)


def remove_old_deliveries(session: Session, before: datetime, limit: int) -> int:
    """The number removed. Their ids are in the order in which they were made, so that nothing else is looked at."""
    ids = session.scalars(select(Delivery.id).where(Delivery.id < first_id(before)).order_by(Delivery.id).limit(limit)).all()
    session.execute(delete(Delivery).where(Delivery.id.in_(ids)))
    return len(ids)


def remove_deleted_webhooks(session: Session, limit: int) -> int:
    """Their deliveries, and at last they themselves; the number of rows removed."""
    gone = session.scalars(select(Webhook.name).where(Webhook.delete_time.is_not(None)).limit(1)).first()
    if gone is None:
        return 0
    ids = session.scalars(select(Delivery.id).where(Delivery.webhook == gone).limit(limit)).all()
    if not ids:
        session.execute(delete(Webhook).where(Webhook.name == gone))
    session.execute(delete(Delivery).where(Delivery.id.in_(ids)))
    return len(ids) + (not ids)


def first_id(time: datetime) -> str:
    """Not above any UUIDv7 that was made at `time` or later."""
    milliseconds = f"{int(time.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
