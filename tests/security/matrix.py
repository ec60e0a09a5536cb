"""The access matrix as its files have it: who is answered what by every RPC, in every state of what it is asked about."""

import textwrap
from pathlib import Path
from typing import Any

import yaml

# One document in several files, so that what is the same stands once.
_FIRST, *_RPCS = (
    "people",
    "alerts",
    "answering",
    "dispatch",
    "units",
    "incidents",
    "callers",
    "webhooks",
    "warnings",
    "statistics",
    "texts",
    "directory",
)
# What a block of an RPC is about, by the RPC's own word for it. No state decides what is answered anywhere.
ALERT_STATES, UNIT_STATES, INCIDENT_STATES, ANYWHERE = "states", "units", "incidents", "anywhere"
Block = dict[str, Any]


def _read() -> dict[str, Any]:
    folder = Path(__file__).parent / "access_matrix"
    texts = {name: (folder / f"{name}.yaml").read_text() for name in (_FIRST, *_RPCS)}
    return yaml.safe_load(texts[_FIRST] + "rpcs:\n" + "".join(textwrap.indent(texts[name], "  ") for name in _RPCS))


def _spread(said: dict[str, Block]) -> dict[str, Block]:
    """A block for each state, where several share one."""
    spread = [(state, block) for states, block in said.items() for state in states.split()]
    assert len(dict(spread)) == len(spread), f"a state is twice in {list(said)}"
    return dict(spread)


_MATRIX = _read()
PERSONS: dict[str, dict[str, Any]] = _MATRIX["persons"]
STATES: dict[str, dict[str, dict[str, Any]]] = {word: _MATRIX[word] for word in (ALERT_STATES, UNIT_STATES, INCIDENT_STATES)}
STATES[ANYWHERE] = {ANYWHERE: {}}
# Of each RPC: its request, what its states are of, and for each of them who is answered what.
REQUESTS: dict[str, dict[str, Any]] = {key: rpc["request"] for key, rpc in _MATRIX["rpcs"].items()}
ABOUT: dict[str, str] = {key: next(word for word in rpc if word != "request") for key, rpc in _MATRIX["rpcs"].items()}
BLOCKS: dict[str, dict[str, Block]] = {
    key: {ANYWHERE: rpc[ANYWHERE]} if ABOUT[key] == ANYWHERE else _spread(rpc[ABOUT[key]]) for key, rpc in _MATRIX["rpcs"].items()
}


def find_refusals(key: str) -> set[str]:
    """The reasons with which an RPC refuses anybody."""
    return {answer.split()[1] for block in BLOCKS[key].values() for answer in block if not answer.startswith("OK")}


def fill(content: Any, words: dict[str, str]) -> Any:
    """The same with a value for each placeholder, such as `$alert`."""
    if isinstance(content, dict):
        return {name: fill(value, words) for name, value in content.items()}
    if isinstance(content, list):
        return [fill(each, words) for each in content]
    return words.get(content, content) if isinstance(content, str) else content
