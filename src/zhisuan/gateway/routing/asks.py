"""A call as routing sees it: how much there is to read, and which beginnings of it somebody may have read before."""

from dataclasses import dataclass
from hashlib import blake2b

BLOCK_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Ask:
    """``blocks`` name the prefixes of the input, one each ``BLOCK_TOKENS`` tokens: equal names, equal input up to there."""

    tokens: int = 0
    blocks: tuple[int, ...] = ()


NOTHING_KNOWN = Ask()


def prefix_blocks(text: bytes, block_bytes: int, *, owner: str) -> tuple[int, ...]:
    """Names of the prefixes of ``text`` that end at whole blocks. Each is made of the one before, and the first of ``owner``:
    what one tenant has sent is never taken for another's."""
    name = blake2b(owner.encode(), digest_size=8).digest()
    names = []
    for end in range(block_bytes, len(text) + 1, block_bytes):
        name = blake2b(text[end - block_bytes : end], digest_size=8, key=name).digest()
        names.append(int.from_bytes(name, "big"))
    return tuple(names)
