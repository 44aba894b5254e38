"""The snapshot that placement decides on, and the plan it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zhisuan.base.text import Text

if TYPE_CHECKING:
    from zhisuan.placement.columns import Columns

CANDIDATES_SHOWN = 10
"""Of thousands of candidates the record of a decision keeps the best."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """``capacity`` and ``allocated``: milli-cores, MiB or milli-cards by ``kind``."""

    id: str
    key: str
    kind: str
    class_id: str | None
    capacity: int
    allocated: int
    usable: bool

    @property
    def free(self) -> int:
        return max(0, self.capacity - self.allocated) if self.usable else 0


@dataclass(frozen=True, slots=True)
class NodeState:
    id: str
    hostname: str
    present: bool
    devices: tuple[DeviceState, ...]


@dataclass(frozen=True, slots=True)
class SiteState:
    """One site as placement sees it; ``grid_g_per_mwh`` is gCO2 per MWh of its province's grid, ``gang_nodes_max`` the
    most nodes that its engine starts one piece of work on. ``offered`` is false outside its offer windows and while its
    provider has it back. ``factors_ppm``: by class, the part of the rate that its devices are worth by measurement. ``jupyterlab``: its
    agent has said that work finds it there. ``green_ppm``: the share of its electricity that its provider states as green (None: it
    states none). ``round_trips_us``: by name, how far demand places are; one that is not there is unknown."""

    id: str
    name: str
    provider_id: str
    state: str
    reachable: bool
    isolated: bool
    region: str
    pue_milli: int
    grid_g_per_mwh: int
    nodes: tuple[NodeState, ...]
    gang_nodes_max: int = 1
    offered: bool = True
    factors_ppm: tuple[tuple[str, int], ...] = ()
    jupyterlab: bool = False
    provider_name: str = ""
    green_ppm: int | None = None
    round_trips_us: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """Rate in 10⁻⁶ 度 an hour per core or card (None: not for sale), rated power in milliwatts per core or card, memory of a card
    by its data sheet (None: unknown)."""

    class_id: str
    names: frozenset[str]
    rate_udu_per_hour: int | None
    power_milliwatts: int
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``columns``: those of these sites or of some before, to find the others from; nothing depends on them but time."""

    sites: tuple[SiteState, ...]
    classes: tuple[ClassFacts, ...]
    price_e8_per_du: int
    cpu_with_accelerator_free: bool
    columns: "Columns | None" = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Need:
    """What one workload asks for on each of ``nodes`` nodes of one site, all at once; ``accelerators`` are (name as written,
    whole cards), each card of a class with at least ``device_memory_mib``.

    The ceilings are of an hour on all nodes together, but for ``carbon_card_max_mg``, which is of an hour of each card: yuan in
    10⁻⁶, rate in 10⁻⁶ 度, carbon in milligrams; None: none."""

    cpus_milli: int
    memory_mib: int
    accelerators: tuple[tuple[str, int], ...]
    nodes: int = 1
    jupyterlab: bool = False
    device_memory_mib: int = 0
    price_max_ucny: int | None = None
    rate_max_udu: int | None = None
    carbon_max_mg: int | None = None
    carbon_card_max_mg: int | None = None

    @property
    def carbon_most_mg(self) -> int | None:
        """The lower of the two ceilings, for all nodes together; that of a card says nothing of work without any."""
        cards = self.nodes * sum(count for _, count in self.accelerators)
        by_card = self.carbon_card_max_mg * cards if cards and self.carbon_card_max_mg is not None else None
        given = [most for most in (self.carbon_max_mg, by_card) if most is not None]
        return min(given, default=None)


@dataclass(frozen=True, slots=True)
class Share:
    """An amount of one device that the plan takes; ``left`` stays free of it. ``factor_ppm``: see ``SiteState``."""

    device_id: str
    key: str
    kind: str
    class_id: str | None
    amount: int
    left: int
    factor_ppm: int


@dataclass(frozen=True, slots=True)
class NodeShares:
    """What the plan takes of one node."""

    node_id: str
    hostname: str
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that candidates were compared on; lower is better."""

    name: str
    value: int
    unit: str
    text: Text

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "unit": self.unit, "text": self.text.as_dict()}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node, or as many nodes of one site as are asked for, that can take the work now, in the order of their ranks.

    Rate, power, cost and carbon are those of all nodes together; ``power_milliwatts`` is the rated power of the shares.
    ``alternative`` is the number of the alternative that it satisfies, 0 where there is only one.
    """

    site_id: str
    site_name: str
    provider_id: str
    region: str
    pue_milli: int
    nodes: tuple[NodeShares, ...]
    rate_udu_per_hour: int
    power_milliwatts: int
    parts: tuple[Part, ...]
    hour_ucny: int
    carbon_g_per_hour_milli: int
    alternative: int = 0

    @property
    def order(self) -> tuple[tuple[int, ...], str, str]:
        return tuple(part.value for part in self.parts), self.site_id, self.nodes[0].node_id

    @property
    def shares(self) -> tuple[Share, ...]:
        return tuple(share for node in self.nodes for share in node.shares)

    @property
    def amounts(self) -> dict[str, int]:
        """What it takes, by device."""
        return {share.device_id: share.amount for node in self.nodes for share in node.shares}

    @property
    def hostnames(self) -> tuple[str, ...]:
        return tuple(node.hostname for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Rejection:
    """How many nodes one constraint took out, and what would let them back in."""

    constraint: str
    count: int
    permanent: bool
    text: Text
    unblock: Text

    def as_dict(self) -> dict[str, Any]:
        return {
            "constraint": self.constraint, "count": self.count, "text": self.text.as_dict(), "unblock": self.unblock.as_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """Candidates best first, each made when it is looked at; ``could_ever_fit`` is false when no node, empty and open, would do.
    ``round_trips_us``: by site id, the longest to the demand places that are asked for."""

    candidates: Sequence[Candidate]
    rejections: tuple[Rejection, ...]
    could_ever_fit: bool
    reason: Text
    round_trips_us: Mapping[str, int] = field(default_factory=dict)

    @property
    def chosen(self) -> Candidate | None:
        return self.candidates[0] if self.candidates else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "candidates": [
                {
                    "site_id": c.site_id, "site_name": c.site_name, "node_hostnames": list(c.hostnames), "rank": rank,
                    "score_parts": [p.as_dict() for p in c.parts], "hour_ucny": c.hour_ucny,
                    "rate_udu_per_hour": c.rate_udu_per_hour, "carbon_g_per_hour_milli": c.carbon_g_per_hour_milli,
                    "alternative": c.alternative, "round_trip_us": self.round_trips_us.get(c.site_id),
                }
                for rank, c in enumerate(self.candidates[:CANDIDATES_SHOWN], 1)
            ],
            "candidates_counted": len(self.candidates),
            "rejected": [r.as_dict() for r in self.rejections],
            "reason": self.reason.as_dict(),
            "could_ever_fit": self.could_ever_fit,
        }  # fmt: skip
