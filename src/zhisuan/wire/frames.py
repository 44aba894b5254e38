"""Frames of the tunnel between gateway and site: one byte of type, four bytes of stream number, the payload.

Kinds and directions are in the table of ``wire/gateway.py``; what the numbers of this module mean is part of the
contract, so both ends read them here.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

TUNNEL_PATH = "/tunnel"

WINDOW_BYTES = 256 * 1024
"""DATA bytes that either side may send on a new stream before the first CREDIT."""

DATA_BYTES_MAX = 64 * 1024
"""Longest payload of one DATA frame: short enough that one stream does not hold up the others."""

MESSAGE_BYTES_MAX = 1024 * 1024
"""Longest frame that a peer accepts."""

CLOSE_REPLACED = 4001
"""WebSocket close code: the same site has opened a newer tunnel."""

CLOSE_PROTOCOL = 4002
"""WebSocket close code: a frame that cannot be read."""

CLOSE_CREDENTIAL = 4003
"""WebSocket close code: the site's credential is no longer good."""

# Connection-bound headers of RFC 9110 §7.6.1 with their older companions; they end at each hop.
HOP_BY_HOP_HEADERS = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip

_HEADER = struct.Struct("!BI")
_CREDIT = struct.Struct("!I")
STREAM_MAX = 2**32 - 1


class FrameType(IntEnum):
    OPEN = 1
    DATA = 2
    END = 3
    HEAD = 4
    RESET = 5
    CREDIT = 6


class Frame(NamedTuple):
    """``type`` is a number and not a ``FrameType``: a newer peer may send types that this one ignores."""

    type: int
    stream: int
    payload: bytes


class FrameError(ValueError):
    """The peer sent bytes that are no frame; the connection cannot be trusted further."""


def encode(kind: FrameType, stream: int, payload: bytes = b"") -> bytes:
    """The bytes of one frame; ``stream`` is 1 to 2³² - 1."""
    return _HEADER.pack(kind, stream) + payload


def decode(message: bytes) -> Frame:
    """The frame in one WebSocket message; ``FrameError`` when it is shorter than a frame's header."""
    if len(message) < _HEADER.size:
        raise FrameError(f"a frame has at least {_HEADER.size} bytes, this message has {len(message)}")
    kind, stream = _HEADER.unpack_from(message)
    return Frame(kind, stream, message[_HEADER.size :])


def encode_credit(stream: int, data_bytes: int) -> bytes:
    return encode(FrameType.CREDIT, stream, _CREDIT.pack(data_bytes))


def decode_credit(payload: bytes) -> int:
    """How many more DATA bytes the peer takes; ``FrameError`` when the payload is not four bytes."""
    if len(payload) != _CREDIT.size:
        raise FrameError(f"a CREDIT frame carries {_CREDIT.size} bytes, this one {len(payload)}")
    (data_bytes,) = _CREDIT.unpack(payload)
    return int(data_bytes)
