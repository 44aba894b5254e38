"""Measuring the distance of other sites: real sockets, and addresses that must not be connected to."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_network
from typing import cast

import pytest

from zhisuan.base.clock import SystemClock
from zhisuan.site.backoff import Link
from zhisuan.site.client import ServerClient
from zhisuan.site.links import TRIES, Links, Network
from zhisuan.wire.common import Accepted
from zhisuan.wire.links import LinkBatch, LinkReport, PeersAnswer, PeerSite

LOOPBACK = ip_network("127.0.0.0/8")


class Server:
    """What the platform says and takes; no network of its own."""

    def __init__(self, *peers: PeerSite) -> None:
        self._peers = peers
        self.taken: list[LinkReport] = []

    async def peers(self) -> PeersAnswer:
        return PeersAnswer(peers=self._peers)

    async def send_links(self, batch: LinkBatch) -> Accepted:
        self.taken += batch.links
        return Accepted(accepted=len(batch.links))


def measured(server: Server, *networks: Network) -> list[LinkReport]:
    lane = Links(cast(ServerClient, server), SystemClock(), Link(), lambda: 0.5, networks)
    assert asyncio.run(lane.look()) == len(server.taken)
    return server.taken


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=16)) as here:
        here.settimeout(0.2)
        yield here, here.getsockname()[1]


def test_a_site_that_answers_is_timed() -> None:
    with listening() as (_, port):
        [report] = measured(Server(PeerSite(site_id="site_b", echo_address=f"127.0.0.1:{port}")), LOOPBACK)
    assert report.answered == report.tries == TRIES and report.note is None
    assert report.best_us is not None and report.median_us is not None
    assert 1 <= report.best_us <= report.median_us < 2_000_000


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_inside_is_not_connected_to_unless_its_owner_allows_it(host: str) -> None:
    with listening() as (here, port):
        [report] = measured(Server(PeerSite(site_id="site_b", echo_address=f"{host}:{port}")), ip_network("10.0.0.0/8"))
        assert report.answered == 0 and "not public" in str(report.note)
        with pytest.raises(TimeoutError):
            here.accept()


def test_what_does_not_answer_and_what_is_no_name_are_told() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        silent = PeerSite(site_id="site_b", echo_address=f"127.0.0.1:{taken.getsockname()[1]}")
        nowhere = PeerSite(site_id="site_c", echo_address="no-such-host.invalid:443")
        first, second = measured(Server(silent, nowhere), LOOPBACK)
    assert (first.answered, first.median_us) == (0, None) and "refused" in str(first.note)
    assert second.answered == 0 and "not known" in str(second.note)


def test_without_peers_nothing_is_sent() -> None:
    assert measured(Server()) == []
