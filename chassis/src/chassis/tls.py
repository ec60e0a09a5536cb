"""Which certificates of others a client believes."""

import ssl
from functools import cache

import httpx


@cache
def trust() -> ssl.SSLContext:
    """Made once in a process, because it reads all the certificates there are."""
    return httpx.create_ssl_context()
