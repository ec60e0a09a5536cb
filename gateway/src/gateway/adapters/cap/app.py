"""The endpoints below `/cap`."""

import asyncio
import hashlib
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.adapters.cap.documents import serialize, write_document
from gateway.adapters.cap.feed import write_feed
from gateway.adapters.cap.names import ATOM_TYPE, CAP_TYPE
from gateway.adapters.cap.signing import Signer
from gateway.adapters.hsds.questions import check_parameters, read_flag, read_text
from gateway.adapters.services import Warnings
from gateway.errors import MethodNotFound
from gateway.settings import Settings
from siaga.alerts.v1.warning_pb2 import Warning as PublicWarning
from siaga.alerts.v1.warning_service_pb2 import GetWarningRequest, ListWarningsRequest

FEED = "/cap/feed.atom"
# As the contract writes identifiers: the warning's UUID, and the number of the message.
IDENTIFIER = re.compile("([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[.]([1-9][0-9]{0,3})")
ON_A_PAGE = 100
LONGEST_TOKEN = 500
# A minute more or less is nothing to a reader who polls, and much to a city whose every phone does.
FEED_KEPT = "public, max-age=15"
# A message that was sent is never changed; who signs it may be another one.
DOCUMENT_KEPT = "public, max-age=3600"


class Cap:
    """Answers from what alerts tells everybody."""

    def __init__(self, settings: Settings, warnings: Warnings) -> None:
        self._source, self._warnings = settings.lost_source, warnings
        self._signer = Signer(settings.cap_key_file) if settings.cap_key_file else None
        self.routes = [Route(FEED, self.get_feed), Route("/cap/{id}.xml", self.get_document)]

    async def get_feed(self, request: Request) -> Response:
        """Answer with what is in force, and with what was cancelled before its time, for as long as a reader may hold it for true."""
        check_parameters(request, {"page", "exercises"})
        exercises = read_flag(request, "exercises")
        question = ListWarningsRequest(
            page_size=ON_A_PAGE,
            page_token=read_text(request, "page", LONGEST_TOKEN),
            state=[PublicWarning.ISSUED, PublicWarning.UPDATED, PublicWarning.CANCELLED],
            unexpired=True,
            include_exercises=exercises,
        )
        found = await self._warnings.ask(self._warnings.stub.ListWarnings, question, request)
        address = write_address(question.page_token, exercises=exercises)
        next_page = write_address(found.next_page_token, exercises=exercises) if found.next_page_token else ""
        # Of a name in the DNS (RFC 4151). With exercises it is another feed.
        tag = f"tag:{self._source},2026:{write_address('', exercises=exercises)[1:]}"
        body = serialize(write_feed(tag, address, found.warnings, found.update_time, next_page))
        headers = {"etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "cache-control": FEED_KEPT}
        return answer(request, body, ATOM_TYPE, headers | write_last_modified(found.update_time))

    async def get_document(self, request: Request) -> Response:
        """Answer with any message that was sent, also with one in whose place another one has come."""
        check_parameters(request, set())
        named = IDENTIFIER.fullmatch(request.path_params["id"])
        if named is None:
            raise MethodNotFound
        question = GetWarningRequest(name=f"warnings/{named[1]}", message=int(named[2]))
        warning = await self._warnings.ask(self._warnings.stub.GetWarning, question, request)
        document = write_document(warning)
        if self._signer:
            # It takes longer than the loop may stand still.
            document = await asyncio.to_thread(self._signer.sign, document)
        # A weak one: the same message is signed differently each time.
        mark = f"-{self._signer.mark}" if self._signer else ""
        headers = {"etag": f'W/"{warning.message.identifier}{mark}"', "cache-control": DOCUMENT_KEPT}
        return answer(request, serialize(document), CAP_TYPE, headers | write_last_modified(warning.message.sent_time))


def write_address(page: str, *, exercises: bool) -> str:
    query = urlencode({name: value for name, value in (("exercises", "true" if exercises else ""), ("page", page)) if value})
    return f"{FEED}?{query}" if query else FEED


def answer(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """Answer with the body, or with 304 where the reader has it (RFC 9110, section 13.2.2)."""
    if is_known(request, headers["etag"], headers.get("last-modified", "")):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


def is_known(request: Request, etag: str, last_modified: str) -> bool:
    known = request.headers.get("if-none-match")
    if known is not None:
        return known.strip() == "*" or etag.removeprefix("W/") in re.findall('"[^"]*"', known)
    try:
        since = parsedate_to_datetime(request.headers["if-modified-since"])
        return bool(last_modified) and parsedate_to_datetime(last_modified) <= since.astimezone(UTC)
    except (KeyError, ValueError, TypeError, OverflowError):
        return False


def write_last_modified(time: Timestamp) -> dict[str, str]:
    """Return the header; none for what was changed within this second, in which it may change again."""
    changed = time.ToDatetime(UTC)
    if not time.seconds or (datetime.now(UTC) - changed).total_seconds() < 1:
        return {}
    return {"last-modified": format_datetime(changed, usegmt=True)}
