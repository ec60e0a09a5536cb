"""The fields that an update names (AIP-134)."""

from collections.abc import Iterable, Sequence

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from chassis.errors import InvalidRequest

_MAX_NAMED = 100


def read_mask(mask: FieldMask, resource: Message, changeable: Iterable[str]) -> Sequence[str]:
    """The fields to change, as the .proto spells them: those of the mask, all that are changeable for `*`, those that the
    resource has for an absent mask. Raises InvalidRequest for one that is not changeable.
    """
    known = list(changeable)
    if not mask.paths:
        present = {field.name for field, _ in resource.ListFields()}
        return [name for name in known if name in present]
    if list(mask.paths) == ["*"]:
        return known
    wrong = sorted({path for path in mask.paths if path not in known})
    if wrong:
        raise InvalidRequest(fields=[("updateMask", f"{json_name(path)[:_MAX_NAMED]} cannot be changed") for path in wrong])
    return [name for name in known if name in mask.paths]


def json_name(field: str) -> str:
    """As JSON spells it, such as `displayName`."""
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)
