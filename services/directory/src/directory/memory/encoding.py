"""Parts of messages that are serialized once for many answers: protobuf's wire format lets them be joined (and read as one)."""


def embed(field: int, content: bytes) -> bytes:
    """A message within another one, as its field of this number (below 16)."""
    head = bytearray([field << 3 | 2])
    size = len(content)
    while size > 0x7F:  # noqa: PLR2004  # seven bits a byte, the eighth says that more follow
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content
