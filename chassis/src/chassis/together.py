"""Reads that many ask for at once: hundreds come back to their watches together."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from chassis.database import Database

T = TypeVar("T")


class ReadsTogether:
    """Reads once for all who ask for the same before it begins.

    Whoever asks later has a read of their own: what they may not see any more may have been in the one before.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[Hashable, asyncio.Task[Any]] = {}

    async def read(self, question: Hashable, operation: Callable[[Session], T], *, seconds: float = 5.0) -> T:
        """As the database's own; `question` says what `operation` reads. Raises what the database does."""
        if (reading := self._waiting.get(question)) is None:
            reading = self._waiting[question] = asyncio.create_task(self._read(question, operation, seconds))
        # Whoever gives up leaves it to the others.
        return await asyncio.shield(reading)

    async def _read(self, question: Hashable, operation: Callable[[Session], T], seconds: float) -> T:
        begun = False

        def begin(session: Session) -> T:
            nonlocal begun
            # Only the first time: of an operation that runs again, others may wait for the next one by then.
            if not begun:
                begun = True
                self._waiting.pop(question)
            return operation(session)

        try:
            return await self._database.read(begin, seconds=seconds)
        finally:
            if not begun:
                self._waiting.pop(question)
