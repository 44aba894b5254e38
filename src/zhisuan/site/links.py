"""How far other sites are: the time of TCP handshakes with the address that each names, now and then.

An address comes from another provider, so only public ones are connected to, and those of networks that this site's owner
allows (``link_networks``): nobody may look into a site's own network by naming its addresses.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
import time
from collections.abc import Sequence
from statistics import median_low

from zhisuan.base.clock import Clock
from zhisuan.site.backoff import Fraction, Link, log
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Refused, Unreachable
from zhisuan.wire.links import LinkBatch, LinkReport, PeerSite

FIRST_SECONDS = 30.0
EVERY_SECONDS = 900.0
TRIES = 5
CONNECT_SECONDS = 2.0

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NotMeasured(Exception):
    """Why an address is not connected to; for the report."""


class Links:
    """``networks``: which addresses beside the public ones may be connected to."""

    def __init__(
        self, client: ServerClient, clock: Clock, link: Link, fraction: Fraction, networks: Sequence[Network]
    ) -> None:
        self._client = client
        self._clock = clock
        self._link = link
        self._fraction = fraction
        self._networks = networks

    async def run(self) -> None:
        """For ever; a server that is away or does not know of this is asked again the next time."""
        pause = FIRST_SECONDS
        while True:
            await asyncio.sleep(pause * (1 - self._fraction() / 2))
            pause = EVERY_SECONDS
            try:
                await self.look()
            except Unreachable as error:
                log.debug("The server was not asked for other sites: %s", error.why)
            except Refused as error:
                self._link.refused("the distances of other sites", error.detail)
            else:
                self._link.taken("the distances of other sites")

    async def look(self) -> int:
        """Measure those that the server names, one after the other; how many. Raises ``Unreachable``, ``Refused``."""
        peers = (await self._client.peers()).peers
        reports = [await self.measure(peer) for peer in peers]
        if reports:
            await self._client.send_links(LinkBatch(links=tuple(reports)))
        return len(reports)

    async def measure(self, peer: PeerSite) -> LinkReport:
        took: list[int] = []
        note = None
        try:
            family, address = await self._resolved(peer.echo_address)
            for _ in range(TRIES):
                try:
                    took.append(await _handshake_us(family, address))
                except OSError as error:
                    note = os.strerror(error.errno) if error.errno else "no answer in time"
        except NotMeasured as error:
            note = str(error)
        return LinkReport(
            to_site_id=peer.site_id, at=self._clock.now(), tries=TRIES, answered=len(took),
            median_us=median_low(took) if took else None, best_us=min(took, default=None), note=note and note[:200],
        )  # fmt: skip

    async def _resolved(self, echo_address: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
        """Looked up once, so that what was checked is what is connected to."""
        host, _, port = echo_address.rpartition(":")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            raise NotMeasured("the name is not known here") from error
        for family, _, _, _, address in found:
            ip = ipaddress.ip_address(address[0])
            if ip.is_global or any(ip in network for network in self._networks):
                return family, (str(address[0]), int(address[1]))
        raise NotMeasured("the address is not public, and this site's owner does not allow its network")


async def _handshake_us(family: socket.AddressFamily, address: tuple[str, int]) -> int:
    """One TCP handshake, in microseconds, at least one."""
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as plain:
        plain.setblocking(False)
        began = time.perf_counter_ns()
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(plain, address)
        return max(1, (time.perf_counter_ns() - began) // 1000)
