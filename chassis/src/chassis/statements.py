"""Statements of hot paths, compiled once per dialect and run on the driver's cursor: a third of what Connection.execute costs."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.sql.compiler import SQLCompiler

# Values of columns differ in type, and only the statement knows which.
Row = dict[str, Any]
Binds = list[tuple[str, Callable[[Any], Any] | None]]


class Prepared:
    """`columns` are those that an INSERT without VALUES fills. Values convert as ever; the driver's errors are not wrapped."""

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None) -> None:
        self._statement, self._columns = statement, columns
        self._compiled: dict[str, tuple[str, Binds]] = {}

    def execute(self, connection: Connection, *rows: Row) -> int:
        """The number of rows that the last one touched."""
        sql, binds = self._compiled.get(connection.dialect.name) or self._compile(connection)
        values = [tuple(convert(row[name]) if convert else row[name] for name, convert in binds) for row in rows]
        cursor = connection.connection.cursor()
        try:
            if len(values) == 1:
                cursor.execute(sql, values[0])
            else:
                cursor.executemany(sql, values)
            return cursor.rowcount
        finally:
            cursor.close()

    def _compile(self, connection: Connection) -> tuple[str, Binds]:
        dialect = connection.dialect
        made = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(made, SQLCompiler)
        # SQLAlchemy has no public way to convert a value as a statement would.
        processors: dict[str, Callable[[Any], Any]] = made._bind_processors  # pyright: ignore[reportPrivateUsage, reportAssignmentType] # noqa: SLF001
        compiled = (str(made), [(name, processors.get(name)) for name in made.positiontup or ()])
        self._compiled[dialect.name] = compiled
        return compiled
