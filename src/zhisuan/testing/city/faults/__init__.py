"""The kinds of faults, a family to a file. A new one is a function and a line in its family's ``KINDS``."""

from zhisuan.testing.city.faults import agents, databases, hosts, links, people, servers
from zhisuan.testing.city.faults.kind import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind for family in (agents, hosts, links, servers, databases, people) for kind in family.KINDS
}

__all__ = ["KINDS", "Kind"]
