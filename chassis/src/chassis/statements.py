"""Statements of hot paths, compiled once per dialect and run by the driver: a third of what Connection.execute costs."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import AdaptedConnection, ClauseElement, Connection, Dialect, Table, bindparam, insert
from sqlalchemy.sql.compiler import SQLCompiler

# Values of columns differ in type, and only the statement knows which.
Row = dict[str, Any]
Convert = Callable[[Any], Any]


class _Compiled(NamedTuple):
    sql: str
    pick: Callable[[Row], tuple[Any, ...]]
    converts: list[tuple[int, Convert]]

    def bind(self, row: Row) -> tuple[Any, ...]:
        values = list(self.pick(row))
        for place, convert in self.converts:
            # No type here makes anything else of NULL.
            if values[place] is not None:
                values[place] = convert(values[place])
        return tuple(values)


class Prepared:
    """`columns` are those that an INSERT without VALUES fills. Values convert as ever; the driver's errors are not wrapped."""

    def __init__(self, statement: ClauseElement, columns: Sequence[str] | None = None) -> None:
        self._statement, self._columns = statement, columns
        self._compiled: dict[str, _Compiled] = {}

    def execute(self, connection: Connection, row: Row) -> int:
        """The number of rows that it touched."""
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection.dialect)
        driver: Any = connection.connection.dbapi_connection
        if isinstance(driver, AdaptedConnection):
            # As "INSERT 0 1".
            status: str = driver.run_async(lambda driver: driver.execute(compiled.sql, *compiled.bind(row)))
            return int(status.rpartition(" ")[2])
        return driver.execute(compiled.sql, compiled.bind(row)).rowcount

    def execute_many(self, connection: Connection, rows: Sequence[Row]) -> None:
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection.dialect)
        driver: Any = connection.connection.dbapi_connection
        values = [compiled.bind(row) for row in rows]
        if isinstance(driver, AdaptedConnection):
            driver.run_async(lambda driver: driver.executemany(compiled.sql, values))
        else:
            driver.executemany(compiled.sql, values)

    def _compile(self, dialect: Dialect) -> _Compiled:
        made = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(made, SQLCompiler)
        names = made.positiontup or []
        # SQLAlchemy has no public way to convert a value as a statement would.
        processors: dict[str, Convert] = made._bind_processors  # pyright: ignore[reportPrivateUsage, reportAssignmentType] # noqa: SLF001
        converts = [(place, processors[name]) for place, name in enumerate(names) if name in processors]
        compiled = _Compiled(str(made), _pick(names), converts)
        self._compiled[dialect.name] = compiled
        return compiled


class InsertTogether:
    """A row into each of several tables, which may refer to those before: on PostgreSQL in one statement, because a round trip
    costs as much as what it brings.
    """

    def __init__(self, *tables: Table) -> None:
        self._each = [Prepared(insert(table), table.c.keys()) for table in tables]
        *before, last = (
            insert(table).values({column: bindparam(_name(place, column)) for column in table.c.keys()})  # noqa: SIM118  # a column collection iterates over columns
            for place, table in enumerate(tables)
        )
        self._all = Prepared(last.add_cte(*(statement.cte(f"row_{place}") for place, statement in enumerate(before))))

    def execute(self, connection: Connection, *rows: Row) -> None:
        if connection.dialect.name == "postgresql":
            self._all.execute(connection, {_name(place, column): value for place, row in enumerate(rows) for column, value in row.items()})
        else:
            for prepared, row in zip(self._each, rows, strict=True):
                prepared.execute(connection, row)


def _name(place: int, column: str) -> str:
    return f"{column}_{place}"


def _pick(names: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple(row[name] for name in names)
