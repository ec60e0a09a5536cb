"""Callers for the tests of what must stay shut."""

import pytest

from security.tokens import POLICE, ROOM, Signer


@pytest.fixture(scope="session")
def tokens(signer: Signer) -> dict[str, str]:
    """By person: two dispatchers and a supervisor of the room, one of the police, a victim and a stranger."""
    return {
        "dispatcher": signer.sign("secure-dispatcher", "dispatcher", agency=ROOM),
        "colleague": signer.sign("secure-colleague", "dispatcher", agency=ROOM),
        "supervisor": signer.sign("secure-supervisor", "supervisor", agency=ROOM),
        "officer": signer.sign("secure-officer", "dispatcher", agency=POLICE),
        "victim": signer.sign("secure-victim", name="A Name"),
        "stranger": signer.sign("secure-stranger"),
    }
