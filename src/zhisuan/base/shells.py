"""What is said on the way to a shell in the sandbox of running work.

On the stream through the tunnel, each way: one byte of channel, four of length (big endian), the payload. On the WebSocket between
client and gateway each message is the channel's byte and the payload. What the other side does not know it ignores.

| channel | from | payload |
| --- | --- | --- |
| 0 STDIN | client | bytes for the shell |
| 1 STDOUT, 2 STDERR | shell | bytes; of a terminal all is STDOUT |
| 3 EXIT | shell | the exit status in decimal, once, last |
| 4 START | client | first, once: JSON ``{"command": [word, ...] or null, "terminal": [rows, columns] or null, "term": "xterm"}`` |
| 5 SIZE | client | rows and columns of the terminal, two bytes each |
| 6 END | client | nothing more comes on STDIN |
| 7 TROUBLE | shell | why there is no shell: ``no_process``, ``too_many`` |
"""

import struct
from enum import IntEnum

PAYLOAD_BYTES_MAX = 64 * 1024
SHELLS_PATH = "/shells/"
"""Of the gateway; the workload's id and the rank follow."""
ENDED_WITHOUT_STATUS = 4010
"""WebSocket close code: the shell is gone and nothing said with what status, as when its work ended."""

_HEAD = struct.Struct(">BI")
_SIZE = struct.Struct(">HH")


class Channel(IntEnum):
    STDIN = 0
    STDOUT = 1
    STDERR = 2
    EXIT = 3
    START = 4
    SIZE = 5
    END = 6
    TROUBLE = 7


FROM_CLIENT = (Channel.STDIN, Channel.START, Channel.SIZE, Channel.END)


class ShellFrameError(ValueError):
    """What came is no frame."""


def size_payload(rows: int, columns: int) -> bytes:
    return _SIZE.pack(min(rows, 0xFFFF), min(columns, 0xFFFF))


def frame(channel: int, payload: bytes) -> bytes:
    return _HEAD.pack(channel, len(payload)) + payload


class Frames:
    """Cuts the bytes of a stream into frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are complete now. Raises ``ShellFrameError`` for one that is longer than any may be."""
        self._held += data
        found = []
        while len(self._held) >= _HEAD.size:
            channel, size = _HEAD.unpack_from(self._held)
            if size > PAYLOAD_BYTES_MAX:
                raise ShellFrameError(f"a frame carries up to {PAYLOAD_BYTES_MAX} bytes, this one {size}")
            if len(self._held) < _HEAD.size + size:
                break
            found.append((channel, bytes(self._held[_HEAD.size : _HEAD.size + size])))
            del self._held[: _HEAD.size + size]
        return found
