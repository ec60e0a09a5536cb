"""A sentinel that checks the raise alone, and looks at nobody's screen: a mutant."""

from typing import Any

from gateway.sentinel.drills import Sentinel
from gateway.sentinel.run import run_sentinel
from gateway.settings import Settings


async def answer_unseen(self: Sentinel, name: str, _: Any) -> None:
    await self._post(f"/v1/{name}:acknowledge")
    await self._post(f"/v1/{name}:resolve", outcome="NON_EMERGENCY")


if __name__ == "__main__":
    Sentinel._answer = answer_unseen
    run_sentinel(Settings())
