"""Site agent → server: how far sites are from each other.

| call | message | answer |
| --- | --- | --- |
| GET /wire/v1/peers | – | PeersAnswer: whom to measure next |
| POST /wire/v1/links | LinkBatch | Accepted |
"""

from pydantic import AwareDatetime, Field

from zhisuan.wire.common import Message

PEERS_MAX = 32


class PeerSite(Message):
    """``echo_address`` (``host:port``) is a place of that site's network that answers TCP connections."""

    site_id: str
    echo_address: str


class PeersAnswer(Message):
    """The sites whose distance from the calling one was measured longest ago, at most ``PEERS_MAX``."""

    peers: tuple[PeerSite, ...]


class LinkReport(Message):
    """``answered`` of ``tries`` TCP connections were made; median and best of those in microseconds, None where none was.
    ``note`` says why."""

    to_site_id: str
    at: AwareDatetime
    tries: int = Field(ge=1, le=100)
    answered: int = Field(ge=0, le=100)
    median_us: int | None = Field(default=None, ge=1, le=60_000_000)
    best_us: int | None = Field(default=None, ge=1, le=60_000_000)
    note: str | None = Field(default=None, max_length=200)


class LinkBatch(Message):
    links: tuple[LinkReport, ...] = Field(max_length=PEERS_MAX)
