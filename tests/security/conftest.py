"""Callers for the tests of what must stay shut."""

import pytest

from security.tokens import POLICE, ROOM, Signer


@pytest.fixture(scope="session")
def tokens(signer: Signer) -> dict[str, str]:
    """By person: two dispatchers, a supervisor and a crew of the room, somebody who leads the police's, a victim and a stranger."""
    return {
        "dispatcher": signer.sign("secure-dispatcher", "dispatcher", agency=ROOM),
        "colleague": signer.sign("secure-colleague", "dispatcher", agency=ROOM),
        "supervisor": signer.sign("secure-supervisor", "supervisor", agency=ROOM),
        "crew": signer.sign("secure-crew", "responder", agency=ROOM),
        "officer": signer.sign("secure-officer", "dispatcher", "supervisor", agency=POLICE),
        "victim": signer.sign("secure-victim", name="A Name"),
        "stranger": signer.sign("secure-stranger"),
    }
