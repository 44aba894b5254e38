"""Many small files in one body, for all who send them: a line ``SHA-256 size`` before the bytes of each.

Of a body that is cut off the files before the cut are whole, so they need not be sent again.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
FILES_MAX = 1000
SMALL_BYTES_MAX = 1024**2
PACK_BYTES = 8 * 1024**2
HEAD = re.compile(rb"([0-9a-f]{64}) (\d{1,8})\n")
HEAD_BYTES_MAX = 74
BODY_BYTES_MAX = PACK_BYTES + FILES_MAX * HEAD_BYTES_MAX


@dataclass(slots=True)
class Unpacked:
    """``files``: by digest, those whose bytes have it; ``damaged``: digests announced for other bytes; ``whole``: nothing but
    files was found, to the end."""

    files: dict[str, bytes] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    whole: bool = True


def head(sha256: str, size_bytes: int) -> bytes:
    return f"{sha256} {size_bytes}\n".encode()


def head_bytes(sizes: Sequence[int]) -> int:
    """What the lines before files of these sizes add to them."""
    return sum(len(head("0" * 64, size)) for size in sizes)


def unpack(body: bytes) -> Unpacked:
    found, at = Unpacked(), 0
    while at < len(body):
        line = HEAD.match(body, at)
        if line is None or line.end() + int(line[2]) > len(body):
            found.whole = False
            break
        at = line.end() + int(line[2])
        sha256, data = line[1].decode(), body[line.end() : at]
        if hashlib.sha256(data).hexdigest() == sha256:
            found.files[sha256] = data
        else:
            found.damaged.append(sha256)
    return found


def grouped(files: Sequence[T], size_of: Callable[[T], int], bytes_max: int = PACK_BYTES) -> Iterator[list[T]]:
    """Small files in groups of a bounded number and size."""
    few: list[T] = []
    total = 0
    for file in files:
        size = size_of(file)
        if few and (len(few) == FILES_MAX or total + size > bytes_max):
            yield few
            few, total = [], 0
        few.append(file)
        total += size
    if few:
        yield few
