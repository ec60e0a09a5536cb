"""The directory with imports in two transactions, on purpose: a test that this mutant passes proves nothing."""

import asyncio
from functools import partial
from typing import Any

from directory.__main__ import serve
from directory.importing import Import
from directory.settings import Settings

write = Import._write


async def write_in_pieces(self: Import, operation: partial[Any]) -> Any:
    reading = operation.keywords["reading"]
    half = reading._replace(records=reading.records[: len(reading.records) // 2])
    await write(self, partial(operation, reading=half))
    return await write(self, operation)


if __name__ == "__main__":
    Import._write = write_in_pieces
    asyncio.run(serve(Settings()))
