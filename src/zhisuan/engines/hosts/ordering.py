"""From what was asked for to what the head will do: which host every rank gets, what the ranks are told of each other."""

import hashlib
import os
from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path

from zhisuan.engines import folders
from zhisuan.engines.contract import ClusterNode, NodeGrant, RunSpec
from zhisuan.engines.errors import InvalidSpec, StartRefused
from zhisuan.engines.hosts.config import HostsEngineConfig
from zhisuan.engines.hosts.gang import Order
from zhisuan.engines.hosts.messages import Archive
from zhisuan.engines.hosts.posts import Posts

ANY_HOST = "localhost"
"""A run of one node may leave the choice of the host to the head."""
_PIECE_BYTES = 1 << 20


def make_order(
    spec: RunSpec,
    nodes: Mapping[str, ClusterNode],
    posts: Posts,
    config: HostsEngineConfig,
    ports_in_use: Set[tuple[str, int]],
) -> Order:
    """Raises InvalidSpec for hosts that are not there or named twice, StartRefused when a promise cannot be made."""
    hosts = _hosts(spec.nodes, nodes)
    gang = len(hosts) > 1
    return Order(
        spec=spec,
        hosts=hosts,
        addresses=tuple(posts.told[host].address for host in hosts),
        network=config.gang_network if gang else "none",
        rendezvous_port=_port(hosts[0], config, ports_in_use) if gang and config.gang_network == "host" else None,
        archives=_archives(spec),
    )


def _hosts(grants: tuple[NodeGrant, ...], nodes: Mapping[str, ClusterNode]) -> tuple[str, ...]:
    hosts = tuple(grant.hostname for grant in grants)
    if len(hosts) > max(1, len(nodes)):
        raise InvalidSpec(f"nodes: {len(hosts)} nodes were asked for; this site has {len(nodes)} hosts")
    if hosts == (ANY_HOST,) and ANY_HOST not in nodes:
        usable = [node.hostname for node in nodes.values() if node.usable]
        if not usable:
            raise StartRefused("nodes: no host of this site can be used now")
        return (usable[0],)
    unknown = [host for host in hosts if host not in nodes]
    if unknown:
        raise InvalidSpec(f"nodes: this site has no node {unknown[0]!r}")
    twice = [host for host in hosts if hosts.count(host) > 1]
    if twice:
        raise InvalidSpec(f"nodes: {twice[0]!r} is named twice; every rank needs a host of its own")
    return hosts


def _port(host: str, config: HostsEngineConfig, in_use: Set[tuple[str, int]]) -> int:
    """One that no other run of the platform was promised on this host."""
    for port in range(config.rendezvous_port_first, config.rendezvous_port_first + config.rendezvous_ports):
        if (host, port) not in in_use:
            return port
    raise StartRefused(f"all {config.rendezvous_ports} ports for rendezvous on {host} are promised to other runs")


def _archives(spec: RunSpec) -> tuple[Archive, ...]:
    paths = [mount.archive for mount in spec.mounts]
    paths += [path for path in (spec.workdir_archive, spec.checkpoint_archive) if path is not None]
    return tuple(_archive(number, path) for number, path in enumerate(dict.fromkeys(paths)))


def _archive(number: int, path: Path) -> Archive:
    return Archive(number, os.fspath(path), path.stat().st_size, _digest(path))


def with_folders(order: Order, run_folder: Path) -> Order:
    """The folders of the run packed below ``run_folder``, which travel as archives and are unpacked by each host. Raises OSError."""
    mounts, archives = [], list(order.archives)
    for index, mount in enumerate(order.spec.folders):
        packed = run_folder / f"folder.{index}"
        folders.pack(mount.path, packed)
        archives.append(_archive(len(archives), packed))
        mounts.append(replace(mount, path=packed))
    return replace(order, spec=replace(order.spec, folders=tuple(mounts)), archives=tuple(archives))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
