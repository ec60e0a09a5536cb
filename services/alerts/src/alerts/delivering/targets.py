"""Where events may be sent: to what its owner published, and never into a network that only this service can reach."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

import httpx

from alerts.errors import WebhookTargetRefused

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_SECONDS = 2.0
# What a browser, a library and a proxy may read in different ways has no place in it.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?)(:(?P<port>[0-9]{1,5}))?"
    r"([/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?"
)
# Old ways to write an IPv4 address: one number, three, octal, hexadecimal.
_NUMERIC = re.compile(r"([0-9]+|0[xX][0-9A-Fa-f]*)\.?")
_WEB_PORTS = frozenset({80, 443})
_FIRST_USER_PORT = 1024
_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
# Public by their registry, but not by what answers there: relays, protocol assignments, multicast, documentation, and the
# metadata services of clouds.
_REFUSED = [
    ip_network(each)
    for each in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "224.0.0.0/4",
        "3fff::/20",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
    )
]
# What an own network is made of. Link-local addresses are in no list: nobody has a receiver there, and clouds their metadata.
_PRIVATE = [
    ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128")
]


class Target(NamedTuple):
    """A URL, and the addresses that its host has at the moment, each of them checked."""

    url: httpx.URL
    addresses: Sequence[str]


class Targets:
    """`allow_private` lets `http` and the addresses of private networks be targets. `resolve` is the system's resolver."""

    def __init__(self, *, allow_private: bool, resolve: Resolve | None = None) -> None:
        self._allow_private = allow_private
        # A name server that does not answer holds a thread, and none of those that others need.
        self._threads = ThreadPoolExecutor(16, "resolver")
        self._resolve = resolve or self._ask_system

    async def find(self, url: str, field: str = "url") -> Target:
        """Raises WebhookTargetRefused. Why a name has no address that may be called is not told: it would map a network."""
        try:
            parsed, port = self._parse(url)
            addresses = await self._find_addresses(parsed.host, port)
        except ValueError as error:
            raise WebhookTargetRefused(fields=[(field, str(error))]) from None
        return Target(parsed, addresses)

    def _parse(self, url: str) -> tuple[httpx.URL, int]:
        found = _URL.fullmatch(url)
        if found is None:
            raise ValueError("must be https://HOST/PATH, in ASCII, without a user or a fragment")
        if found["scheme"] != "https" and not self._allow_private:
            raise ValueError("must be https")
        host = found["host"].strip("[]").lower()
        if _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]) and not _is_address(host):
            raise ValueError("must have a name or an address in its usual form as its host")
        try:
            parsed = httpx.URL(url)
            named = parsed.host
        except (httpx.InvalidURL, ValueError):
            raise ValueError("cannot be read") from None
        port = {"https": 443, "http": 80}[parsed.scheme] if parsed.port is None else parsed.port
        if named != host or parsed.userinfo:
            raise ValueError("cannot be read in one way alone")
        if port not in _WEB_PORTS and not _FIRST_USER_PORT <= port <= 65535:  # noqa: PLR2004  # the last port
            raise ValueError("must have the port 443, 80 or one above 1023")
        return parsed, port

    async def _find_addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(_SECONDS):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses or not all(self._may_be_called(each) for each in addresses):
            raise ValueError("has a host without an address, or with one that is not public")
        return addresses

    def _may_be_called(self, text: str) -> bool:
        try:
            address = _unwrap(ip_address(text))
        except ValueError:
            return False
        if _is_in(address, _REFUSED):
            return False
        if self._allow_private and _is_in(address, _PRIVATE):
            return True
        return address.is_global and (isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST)

    async def _ask_system(self, host: str, port: int) -> Sequence[str]:
        def ask() -> list[str]:
            # In the order in which the system would try them.
            return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))

        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that is reached by way of an IPv6 one: mapped, NAT64, 6to4."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_in(address: IPv4Address | IPv6Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in each for each in networks)
