"""An event is sent to public addresses alone, however somebody spells another one."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import httpx
import pytest
from people import People, refusal_of, run_service
from receiving import Agencies

from alerts.delivering.targets import Targets
from alerts.errors import WebhookTargetRefused
from alerts.settings import Settings
from chassis.testing import Issuer

PUBLIC = "93.184.215.14"

# What a host resolves to in these tests; everything else resolves as the system says, and names outside of it do not.
NAMES = {
    "good.example": [PUBLIC],
    "good6.example": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "both.example": [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "nat64.example": ["64:ff9b::5db8:d70e"],
    "loopback.example": ["127.0.0.1"],
    "private.example": ["10.0.0.7"],
    "half.example": [PUBLIC, "192.168.1.1"],
    "metadata.example": ["169.254.169.254"],
    "nothing.example": [],
}
LOCAL = {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "127.0.0.1", "127.1.2.3"}
LOCAL |= {"[::1]", "[fc00::1]", "[fd12:3456::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"}
LOCAL |= {"[64:ff9b::10.0.0.1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "localhost", "LOCALHOST"}
NEVER = {
    # This network, link-local, protocol assignments, relays, multicast, reserved, broadcast, documentation, benchmarks.
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    # Metadata of clouds beyond link-local.
    "100.100.100.200",
    "168.63.129.16",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    # The same, and the like, in IPv6: unspecified, compatible, translated, mapped, by relays and tunnels, site-local, multicast.
    "[::]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:0.0.0.0]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::1]",
    "[2002:a9fe:a9fe::1]",
    "[2001::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[4000::1]",
    "[5f00::1]",
}
# Spellings that programs read in different ways, or that only old ones read.
SPELT = {
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://1.1.1/",
    "https://134744072/",
    "https://good.example.0x1/",
    "https://10.0.0.0x7/",
    "https://user@good.example/",
    "https://user:pass@good.example/",
    "https://good.example@127.0.0.1/",
    "https://127.0.0.1@good.example/",
    "https://good.example:443@127.0.0.1/",
    "https://good.example%40127.0.0.1/",
    "https://good.example\\@127.0.0.1/",
    "https://good.example\\.127.0.0.1/",
    "https://127.0.0.1%2f@good.example/",
    "https://%31%32%37.0.0.1/",
    "https://good.example#@127.0.0.1/",
    "https://good.example/#there",
    "https://good.example/ there",
    "https://good.example/\r\nhost: other",
    "https://good.example\t/",
    "https:// good.example/",
    "https:///good.example/",
    "https:good.example",
    "https:/good.example/",
    "//good.example/",
    "good.example",
    "https://",
    "https://:443/",
    "https://[::1%25lo]/",
    "https://[::1/",
    "https://[good.example]/",
    "https://①②⑦.0.0.1/",
    "https://127。0。0。1/",
    "https://\uff47ood.example/",
    "https://g\u043e\u043ed.example/",
    "https://good_.example/",
    "https://-good.example/",
    "ftp://good.example/",
    "file:///etc/passwd",
    "gopher://good.example/",
    "data:,x",
    "unix:///run/docker.sock",
    "HTTPS://good.example/",
}
PORTS = ["0", "1", "22", "25", "53", "79", "81", "110", "444", "1023", "65536", "99999", "٤٤٣", "+443", "443.0"]


async def resolve(host: str, port: int) -> Sequence[str]:
    if host.rstrip(".") in NAMES:
        return NAMES[host.rstrip(".")]
    if host.endswith((".example", "example.org")):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    # Numbers, addresses and localhost need no name server.
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


STRICT = Targets(allow_private=False, resolve=resolve)
LENIENT = Targets(allow_private=True, resolve=resolve)


async def refuse(targets: Targets, url: str) -> str:
    """What is said to be wrong with it."""
    with pytest.raises(WebhookTargetRefused) as caught:
        await targets.find(url)
    ((field, wrong),) = caught.value.fields
    assert field == "url"
    return wrong


def test_the_table_is_long_enough() -> None:
    assert len(LOCAL | NEVER) + len(SPELT) >= 40


@pytest.mark.parametrize("host", sorted(LOCAL | NEVER))
async def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    assert "not public" in await refuse(STRICT, f"https://{host}/siaga")
    assert "not public" in await refuse(STRICT, f"https://{host}:8443/siaga?x=1")


@pytest.mark.parametrize("host", sorted(NEVER))
async def test_what_is_nobodys_receiver_is_refused_on_the_premises_too(host: str) -> None:
    assert "not public" in await refuse(LENIENT, f"https://{host}/")


@pytest.mark.parametrize("host", sorted(LOCAL))
async def test_a_private_address_is_taken_where_the_deployment_allows_it(host: str) -> None:
    for scheme in ("http", "https"):
        assert (await LENIENT.find(f"{scheme}://{host}:8080/")).addresses


@pytest.mark.parametrize("url", sorted(SPELT))
@pytest.mark.parametrize("targets", [STRICT, LENIENT], ids=["strict", "lenient"])
async def test_a_spelling_that_may_be_read_in_two_ways_is_refused(targets: Targets, url: str) -> None:
    assert "not public" not in await refuse(targets, url)


@pytest.mark.parametrize("host", ["xn--a.example.com", "xn--zz--.id"])
async def test_a_name_that_no_registry_gives_is_refused_in_our_words(host: str) -> None:
    assert await refuse(STRICT, f"https://{host}/") == "cannot be read"


@pytest.mark.parametrize("port", PORTS)
async def test_a_port_of_another_service_is_refused(port: str) -> None:
    assert "not public" not in await refuse(STRICT, f"https://good.example:{port}/")


@pytest.mark.parametrize("name", ["loopback", "private", "half", "metadata", "nothing", "unknown"])
async def test_a_name_with_any_address_that_is_not_public_is_refused_and_why_is_not_told(name: str) -> None:
    wrong = await refuse(STRICT, f"https://{name}.example/")
    assert wrong == "has a host without an address, or with one that is not public"


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("https://good.example", [PUBLIC]),
        ("https://good.example./siaga", [PUBLIC]),
        ("https://GOOD.example:8443/siaga?token=a%20b&c=d", [PUBLIC]),
        ("https://good6.example/", NAMES["good6.example"]),
        ("https://both.example:1024/", NAMES["both.example"]),
        ("https://nat64.example:65535/~siaga/@us", NAMES["nat64.example"]),
        (f"https://{PUBLIC}/", [PUBLIC]),
        ("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443/", NAMES["good6.example"]),
    ],
)
async def test_a_public_target_is_taken_with_its_addresses(url: str, addresses: list[str]) -> None:
    found = await STRICT.find(url)
    assert found.url == httpx.URL(url)
    assert found.addresses == addresses


async def test_http_is_refused_unless_the_deployment_allows_it() -> None:
    assert await refuse(STRICT, "http://good.example/") == "must be https"
    assert (await LENIENT.find("http://good.example/")).addresses == [PUBLIC]


async def test_a_name_server_that_does_not_answer_is_not_waited_for() -> None:
    async def never(_: str, __: int) -> Sequence[str]:
        await asyncio.sleep(3600)
        return [PUBLIC]

    began = asyncio.get_running_loop().time()
    await refuse(Targets(allow_private=False, resolve=never), "https://good.example/")
    assert asyncio.get_running_loop().time() - began < 5


@pytest.mark.parametrize("answer", ["", "nonsense", "fe80::1%eth0", "1.2.3.4.5"])
async def test_an_address_that_cannot_be_read_is_refused(answer: str) -> None:
    async def give(_: str, __: int) -> Sequence[str]:
        return [answer]

    assert "not public" in await refuse(Targets(allow_private=True, resolve=give), "https://good.example/")


class TestAtTheService:
    URLS = ("http://127.0.0.1:8080/", "https://localhost/", "https://169.254.169.254/latest/meta-data/", "https://2130706433/", "ftp://x/")

    async def test_a_webhook_is_neither_made_nor_moved_to_such_a_target(self, settings: Settings, issuer: Issuer) -> None:
        async with run_service(settings) as channel:
            agencies = Agencies(People(channel, issuer))
            made = await agencies.sari("CreateWebhook", url=f"https://{PUBLIC}/siaga")
            for url in self.URLS:
                refusal = await refusal_of(agencies.sari("CreateWebhook", url=url))
                assert (refusal.code, refusal.reason, refusal.fields) == ("INVALID_ARGUMENT", "WEBHOOK_TARGET_REFUSED", ["url"])
                refusal = await refusal_of(agencies.sari("UpdateWebhook", webhook={"name": made.name, "url": url}))
                assert (refusal.code, refusal.reason, refusal.fields) == ("INVALID_ARGUMENT", "WEBHOOK_TARGET_REFUSED", ["webhook.url"])
            (kept,) = (await agencies.sari("ListWebhooks")).webhooks
            assert kept.url == made.url


def mutants() -> dict[str, Callable[[str], bool]]:
    """Checks that others have made, each of which lets something through that is refused here."""
    return {
        "a list of words": lambda host: host not in {"localhost", "127.0.0.1", "[::1]"},
        "what begins so": lambda host: not host.startswith(("127.", "10.", "192.168.", "169.254.", "172.16.", "[fc", "[fd", "[fe80")),
    }


@pytest.mark.parametrize("name", mutants())
def test_a_simpler_check_would_let_some_of_them_through(name: str) -> None:
    assert any(mutants()[name](host) for host in LOCAL | NEVER)
