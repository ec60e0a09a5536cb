"""What a receiver may do to whoever sends to it: nothing that lasts, nothing that grows, and nothing that leads elsewhere."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from receiving import (
    Behaviour,
    Receiver,
    answer,
    cut,
    cut_midway,
    never_end,
    never_end_the_headers,
    run_receiver,
    say_nonsense,
    stall,
    stall_midway,
)

from alerts.delivering.sending import Parcel, Sender
from alerts.delivering.targets import Target, Targets
from alerts.model.deliveries import Attempt, Result
from chassis.testing import free_port
from chassis.tls import trust

KEY = b"k" * 32
PARCEL = Parcel("an-id", '{"specversion":"1.0"}', "")
LOCAL = Targets(allow_private=True)


async def send(url: str, targets: Targets = LOCAL, sender: type[Sender] = Sender) -> Attempt:
    made = sender(targets)
    async with made.open() as transport:
        return await made.send(transport, url, [KEY], PARCEL)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with run_receiver() as receiver:
        yield receiver


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_takes_it(receiver: Receiver, status: int) -> None:
    receiver.usually = answer(status)
    attempt = await send(receiver.url)
    assert (attempt.result, attempt.status) == (Result.TAKEN, status)
    assert 0 < attempt.seconds < 5


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 418, 429, 500, 502, 503, 599])
async def test_any_other_status_does_not(receiver: Receiver, status: int) -> None:
    receiver.usually = answer(status)
    attempt = await send(receiver.url)
    assert (attempt.result, attempt.status) == (Result.STATUS, status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    async with run_receiver() as elsewhere:
        receiver.usually = answer(status, location=elsewhere.url)
        attempt = await send(receiver.url)
        assert (attempt.result, attempt.status) == (Result.STATUS, status)
        assert elsewhere.connections == 0
        # The mutant.
        receiver.usually = answer(status, location=elsewhere.url)
        await send(receiver.url, sender=_Following)
        assert elsewhere.connections == 1


class _Following(Sender):
    async def _post(self, transport: httpx.AsyncBaseTransport, target: Target, headers: dict[str, str], body: str) -> httpx.Response:
        client = httpx.AsyncClient(transport=transport, follow_redirects=True)
        return await client.post(target.url, content=body, headers=headers)


HOSTILE = (
    answer(302, location="http://xn--a/"),
    answer(301, location="http://[::1"),
    answer(308, location="\xff\xfe"),
    answer(200, **{"set-cookie": "lb=\xff\xff"}),
    answer(204, **{"set-cookie": "lb=ok; path=/"}),
)


async def test_what_an_answer_says_beside_its_status_changes_nothing(receiver: Receiver) -> None:
    receiver.behaviours = list(HOSTILE)
    sender = Sender(LOCAL)
    async with sender.open() as transport:
        attempts = [await sender.send(transport, receiver.url, [KEY], PARCEL) for _ in range(len(HOSTILE) + 1)]
    assert [each.status for each in attempts] == [302, 301, 308, 200, 204, 204]
    assert [each.result for each in attempts] == [*[Result.STATUS] * 3, *[Result.TAKEN] * 3]
    assert not any("cookie" in each.headers for each in receiver.requests)


async def test_what_nobody_has_thought_of_is_an_attempt_too(receiver: Receiver) -> None:
    class Breaks(Sender):
        async def _post(self, *_: object) -> httpx.Response:
            raise RecursionError

    assert (await send(receiver.url, sender=Breaks)).result is Result.CUT_OFF


@pytest.mark.parametrize(
    ("behave", "result"),
    [
        (cut, Result.CUT_OFF),
        (cut_midway, Result.CUT_OFF),
        (say_nonsense, Result.CUT_OFF),
        (never_end_the_headers, Result.CUT_OFF),
        (never_end, Result.TAKEN),
        (answer(200, b"x" * 10_000_000), Result.TAKEN),
    ],
)
async def test_whatever_it_says_is_read_within_a_bound(receiver: Receiver, behave: Behaviour, result: Result) -> None:
    receiver.usually = behave
    attempt = await send(receiver.url)
    assert attempt.result == result
    assert attempt.seconds < 5


@pytest.mark.parametrize("behave", [stall, stall_midway])
async def test_one_that_stalls_is_waited_for_ten_seconds(receiver: Receiver, behave: Behaviour) -> None:
    receiver.usually = behave
    attempt = await send(receiver.url)
    assert (attempt.result, attempt.status) == (Result.TIMED_OUT, 0)
    assert 9.5 < attempt.seconds < 11.5


async def test_one_that_drips_is_waited_for_no_longer(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit for each read alone would never end: the mutant."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    receiver.usually = drip
    monkeypatch.setattr("alerts.delivering.sending._SECONDS", 0.5)
    attempt = await send(receiver.url)
    assert (attempt.result, attempt.seconds < 1.5) == (Result.TIMED_OUT, True)
    timeout = httpx.Timeout(0.5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2), httpx.AsyncClient(timeout=timeout) as client:
            await client.post(receiver.url, content="x")


async def test_nobody_there_is_said_so() -> None:
    assert (await send(f"http://127.0.0.1:{free_port()}/")).result == Result.UNREACHABLE


async def test_a_connection_is_waited_for_two_seconds() -> None:
    with ExitStack() as sockets:
        # Nobody accepts, and the queue is full.
        silent = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        attempt = await send(f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert (attempt.result, 1.5 < attempt.seconds < 4) == (Result.TIMED_OUT, True)


class TestAddresses:
    async def test_the_connection_goes_to_the_address_that_was_checked(self, receiver: Receiver) -> None:
        """A name that leads elsewhere by the time of the connection (DNS rebinding) leads nowhere."""
        port = receiver.url.split(":")[2].split("/")[0]
        # The check is told of an address where nobody listens; the system knows the receiver by this name.
        checked = Targets(allow_private=True, resolve=lambda _, __: give("127.0.0.2"))
        url = f"http://localhost:{port}/siaga"
        assert (await send(url, checked)).result == Result.UNREACHABLE
        assert receiver.connections == 0
        # The mutant, which looks the name up again.
        assert (await send(url, checked, _Trusting)).result == Result.TAKEN

    async def test_a_name_that_has_become_private_is_not_called(self, receiver: Receiver) -> None:
        strict = Targets(allow_private=False, resolve=lambda _, __: give("127.0.0.1"))
        attempt = await send(receiver.url.replace("http", "https"), strict)
        assert (attempt.result, attempt.status) == (Result.NO_ADDRESS, 0)
        assert receiver.connections == 0

    async def test_a_name_is_looked_up_at_each_attempt(self, receiver: Receiver) -> None:
        asked: list[str] = []

        async def resolve(host: str, _: int) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

        targets = Targets(allow_private=True, resolve=resolve)
        port = receiver.url.split(":")[2].split("/")[0]
        results = [(await send(f"http://hooks.test:{port}/", targets)).result for _ in range(2)]
        assert results == [Result.TAKEN, Result.NO_ADDRESS]
        assert asked == ["hooks.test"] * 2
        assert receiver.requests[0].headers["host"] == f"hooks.test:{port}"

    async def test_the_next_address_is_tried_where_one_takes_no_connection(self, receiver: Receiver) -> None:
        targets = Targets(allow_private=True, resolve=lambda _, __: give("127.0.0.2", "127.0.0.1"))
        port = receiver.url.split(":")[2].split("/")[0]
        assert (await send(f"http://hooks.test:{port}/", targets)).result == Result.TAKEN

    async def test_no_proxy_of_the_environment_comes_between(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        async with run_receiver() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            assert (await send(receiver.url)).result == Result.TAKEN
            assert proxy.connections == 0


class _Trusting(Sender):
    async def _post(self, transport: httpx.AsyncBaseTransport, target: Target, headers: dict[str, str], body: str) -> httpx.Response:
        client = httpx.AsyncClient(transport=transport)
        return await client.post(target.url, content=body, headers=headers)


async def give(*addresses: str) -> Sequence[str]:
    return addresses


class TestTls:
    @pytest.fixture(autouse=True)
    def afresh(self) -> Iterator[None]:
        """Whom a process trusts it reads once."""
        trust.cache_clear()
        yield
        trust.cache_clear()

    async def test_the_certificate_is_the_names(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tls, names = make_tls(tmp_path, "hooks.test")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        targets = Targets(allow_private=True, resolve=lambda _, __: give("127.0.0.1"))
        async with run_receiver(tls=tls) as receiver:
            port = receiver.url.split(":")[2].split("/")[0]
            assert (await send(f"https://hooks.test:{port}/", targets)).result == Result.TAKEN
            assert names == ["hooks.test"]
            assert (await send(f"https://other.test:{port}/", targets)).result == Result.INSECURE
            assert len(receiver.requests) == 1

    async def test_one_that_nobody_vouches_for_is_told_nothing(self, tmp_path: Path) -> None:
        tls, _ = make_tls(tmp_path, "hooks.test")
        targets = Targets(allow_private=True, resolve=lambda _, __: give("127.0.0.1"))
        async with run_receiver(tls=tls) as receiver:
            port = receiver.url.split(":")[2].split("/")[0]
            assert (await send(f"https://hooks.test:{port}/", targets)).result == Result.INSECURE
            assert receiver.requests == []

    async def test_an_address_may_have_a_certificate_of_its_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tls, _ = make_tls(tmp_path, "127.0.0.1")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        async with run_receiver(tls=tls) as receiver:
            assert (await send(receiver.url)).result == Result.TAKEN

    async def test_no_tls_at_all_is_insecure(self) -> None:
        async def speak_plainly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Speak plainly\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert (await send(f"https://127.0.0.1:{port}/")).result == Result.INSECURE


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("said", "seconds"),
        [("7", 7), ("0", 0), ("3600", 3600), ("99999999", 3600), ("9" * 400, 3600), ("-5", 0), ("soon", 0), ("", 0), ("1.5", 0)],
    )
    async def test_seconds_are_honoured_up_to_an_hour(self, receiver: Receiver, said: str, seconds: int) -> None:
        receiver.usually = answer(503, retry_after=said)
        attempt = await send(receiver.url)
        assert (attempt.retry_after or timedelta(0)) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(("ahead", "seconds"), [(60, 60), (100_000, 3600), (-60, 0)])
    async def test_so_is_a_date(self, receiver: Receiver, ahead: int, seconds: int) -> None:
        receiver.usually = answer(429, retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True))
        attempt = await send(receiver.url)
        assert (attempt.retry_after or timedelta(0)).total_seconds() == pytest.approx(seconds, abs=2)

    async def test_one_that_takes_the_event_is_not_spared(self, receiver: Receiver) -> None:
        receiver.usually = answer(200, retry_after="60")
        assert (await send(receiver.url)).retry_after is None


def make_tls(folder: Path, name: str) -> tuple[ssl.SSLContext, list[str | None]]:
    """A server's side with a certificate for `name` by an authority whose own lies in `folder`; the names that it was asked for."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority of the tests")])
    try:
        subject: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    begin, end = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)

    def certify(named: x509.Name, public: ec.EllipticCurvePublicKey, *, is_authority: bool) -> x509.Certificate:
        builder = x509.CertificateBuilder(authority, named, public, x509.random_serial_number(), begin, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        if not is_authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        return builder.sign(authority_key, hashes.SHA256())

    (folder / "authority.pem").write_bytes(
        certify(authority, authority_key.public_key(), is_authority=True).public_bytes(serialization.Encoding.PEM)
    )
    own = certify(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a receiver")]), key.public_key(), is_authority=False)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "own.pem").write_bytes(pem + own.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem")
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    return context, asked
