"""A snapshot as it is once something has ended, or with something kept free."""

from collections.abc import Mapping
from dataclasses import replace

from zhisuan.placement.types import NodeState, SiteState, Snapshot


def adjusted(snapshot: Snapshot, site_ids: frozenset[str], more: Mapping[str, int]) -> Snapshot:
    """The snapshot with so much more (or less, where negative) allocated of devices of these sites."""
    if not more:
        return snapshot
    return replace(snapshot, sites=tuple(_site(s, more) if s.id in site_ids else s for s in snapshot.sites))


def _site(site: SiteState, more: Mapping[str, int]) -> SiteState:
    return replace(site, nodes=tuple(_node(n, more) for n in site.nodes))


def _node(node: NodeState, more: Mapping[str, int]) -> NodeState:
    if not any(d.id in more for d in node.devices):
        return node
    devices = tuple(replace(d, allocated=max(0, d.allocated + more[d.id])) if d.id in more else d for d in node.devices)
    return replace(node, devices=devices)
