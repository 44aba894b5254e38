"""Typed ids: a prefix that says what it names, then 26 characters that sort by time (Crockford base 32, 48 bits of
milliseconds and 80 random bits)."""

import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NewType, Protocol

from zhisuan.base.clock import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

OrgId = NewType("OrgId", str)
ProjectId = NewType("ProjectId", str)
UserId = NewType("UserId", str)
SiteId = NewType("SiteId", str)
NodeId = NewType("NodeId", str)
DeviceId = NewType("DeviceId", str)
WorkloadId = NewType("WorkloadId", str)
LeaseId = NewType("LeaseId", str)
GrantId = NewType("GrantId", str)

PREFIXES = {
    "org": "organisation", "prj": "project", "usr": "user", "key": "API key", "ses": "session",
    "site": "site", "node": "node", "dev": "device", "jtk": "join token", "msr": "measurement",
    "cnd": "site condition", "clm": "device claim", "rcl": "recall", "vrf": "verification", "rtf": "rate factor", "dpl": "demand place",
    "pbk": "price book", "quo": "quote", "ord": "order", "grt": "grant", "top": "top-up",
    "job": "job", "svc": "service", "wsp": "workspace", "wss": "workspace session", "plc": "placement", "lea": "lease", "blb": "blob",
    "art": "artefact", "chk": "checkpoint",
    "mdl": "model", "mdv": "model version", "dep": "deployment",
    "vol": "volume", "vlv": "volume version", "upl": "upload",
    "win": "usage window", "tok": "token usage", "chg": "charge", "txn": "ledger transaction",
    "inv": "invoice", "inl": "invoice line", "stl": "settlement", "evt": "event", "req": "request",
}  # fmt: skip


class Ids(Protocol):
    """Makes new ids; injected so that a simulated city gets the same ones again."""

    def new(self, prefix: str) -> str: ...

    def secret(self, prefix: str) -> str: ...


def _encode(value: int, length: int) -> str:
    out = []
    for _ in range(length):
        value, digit = divmod(value, 32)
        out.append(ALPHABET[digit])
    return "".join(reversed(out))


class TimeOrderedIds:
    """Ids from a clock and a source of random bits; within a process they never repeat and always rise, in any thread."""

    def __init__(self, clock: Clock, random_bits: Callable[[int], int] = secrets.randbits) -> None:
        self._clock = clock
        self._random_bits = random_bits
        self._last = 0
        self._lock = threading.Lock()

    def new(self, prefix: str) -> str:
        if prefix not in PREFIXES:
            raise ValueError(f"unknown id prefix {prefix!r}")
        with self._lock:
            milliseconds = (self._clock.now() - EPOCH) // MILLISECOND
            value = max((milliseconds << 80) | self._random_bits(80), self._last + 1)
            self._last = value
        return f"{prefix}_{_encode(value, 26)}"

    def secret(self, prefix: str) -> str:
        """A bearer secret such as ``zsk_…`` with 200 random bits."""
        return f"{prefix}_{_encode(self._random_bits(200), 40)}"


def prefix_of(ident: str) -> str:
    """The prefix of an id, or an empty string where there is none."""
    head, _, tail = ident.partition("_")
    return head if tail and head in PREFIXES else ""
