"""PINs as they are kept: hashed by Argon2id (RFC 9106) with OWASP's least parameters."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from enum import Enum
from time import monotonic
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Of a PIN that nobody has: who has none, and who is not known, takes as long as everybody else.
_NOBODYS = _hasher.hash("")
# Apart from the loop, and never more than the machine can bear while SOS come in.
_threads = ThreadPoolExecutor(2, "pins")
# Four hashes take less, with what else there is to do.
_STEP_SECONDS = 0.25


class Match(Enum):
    NONE = "none"
    PIN = "pin"
    DURESS = "duress"


class Given(NamedTuple):
    """What a PIN is among those in force, and among those that whoever set the last ones believes to be."""

    in_force: Match
    told: Match


@asynccontextmanager
async def hide_time() -> AsyncGenerator[None]:
    """Ends after whole steps: to close an alert takes longer than to keep it open, the longer the more ends with it, as it does to
    erase one that is closed, and whoever has the phone must not be able to tell.
    """
    began = monotonic()
    yield
    await asyncio.sleep((began - monotonic()) % _STEP_SECONDS)


async def hash_pins(*pins: str) -> list[str]:
    return await asyncio.get_running_loop().run_in_executor(_threads, lambda: [_hasher.hash(pin) for pin in pins])


async def match_pin(pin: str, *pairs: tuple[str, str]) -> list[Match]:
    """Which one of each pair of hashes it is, always in the same time; empty hashes match nothing."""
    return await asyncio.get_running_loop().run_in_executor(_threads, lambda: [_match(pin, *pair) for pair in pairs])


def _match(pin: str, pin_hash: str, duress_hash: str) -> Match:
    is_pin, is_duress = _is_of(pin, pin_hash), _is_of(pin, duress_hash)
    return Match.DURESS if is_duress else Match.PIN if is_pin else Match.NONE


def _is_of(pin: str, kept: str) -> bool:
    try:
        return _hasher.verify(kept or _NOBODYS, pin) and bool(kept)
    except VerificationError:
        return False
