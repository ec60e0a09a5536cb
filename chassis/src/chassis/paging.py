"""Pages of a list (AIP-158): how long one is, and the token that asks for the next."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from chassis.errors import InvalidPageToken
from chassis.opaque import unwrap, wrap

DEFAULT_SIZE = 50
# As many digits as any row's id has room for.
_NUMBER = re.compile("[0-9]{0,18}")

T = TypeVar("T")


class Page:
    """Where a list goes on. `scope` is what else, beside the request's own filters, decides which rows there are."""

    def __init__(self, request: Message, scope: str = "") -> None:
        filters = type(request)()
        filters.CopyFrom(request)
        filters.ClearField("page_size")
        filters.ClearField("page_token")
        question = filters.SerializeToString(deterministic=True).hex()
        self._question = f"{request.DESCRIPTOR.full_name} {scope} {question}"
        self.size: int = getattr(request, "page_size") or DEFAULT_SIZE  # noqa: B009  # every paged request has both fields
        token: str = getattr(request, "page_token")  # noqa: B009
        self.after = ""
        if token:
            after = unwrap(self._question, token)
            if after is None or "\0" in after:
                raise InvalidPageToken
            self.after = after

    def after_number(self) -> int:
        """`after` where the places are numbers, 0 for the first page. Raises InvalidPageToken: a token can be made up."""
        if not _NUMBER.fullmatch(self.after):
            raise InvalidPageToken
        return int(self.after or 0)

    def cut(self, rows: Sequence[T], place: Callable[[T], str]) -> tuple[Sequence[T], str]:
        """The rows of this page and the token of the next; `rows` holds one more than `size` where there is a next."""
        if len(rows) <= self.size:
            return rows, ""
        page = rows[: self.size]
        return page, wrap(self._question, place(page[-1]))
