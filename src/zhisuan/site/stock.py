"""What the site offers, as the server was told of it, and how the engine knows each accelerator."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from zhisuan.engines.contract import AcceleratorGrant, ClusterNode
from zhisuan.engines.models import AcceleratorModel
from zhisuan.site.cluster import cluster_grants, node_reports, switched_off
from zhisuan.wire.site import EngineFacts, Inventory, NodeReport


@dataclass(slots=True)
class Stock:
    """``grants`` are by host name and device key, and change in place when the nodes of a cluster do. ``known`` is what a
    cluster last said: ``message`` differs from it while the cluster is away."""

    message: Inventory
    grants: dict[str, dict[str, AcceleratorGrant]]
    known: Inventory | None = None
    models: Mapping[str, AcceleratorModel] = field(default_factory=dict)

    @property
    def of_a_cluster(self) -> bool:
        return self.known is not None

    @classmethod
    def of_cluster(
        cls, engine: EngineFacts, nodes: Sequence[ClusterNode], models: Mapping[str, AcceleratorModel]
    ) -> "Stock":
        message = Inventory(engine=engine, nodes=node_reports(nodes, models))
        return cls(message, cluster_grants(nodes), message, models)

    @classmethod
    def restored(cls, plain: Mapping[str, Any] | None, models: Mapping[str, AcceleratorModel]) -> "Stock | None":
        """From ``plain()`` of an agent before this one, where there is one."""
        if plain is None:
            return None
        message = Inventory.model_validate(plain["message"])
        grants = {h: {k: AcceleratorGrant(**g) for k, g in cards.items()} for h, cards in plain["grants"].items()}
        return cls(message, grants, message, models)

    def plain(self) -> dict[str, Any]:
        known = self.known or self.message
        grants = {host: {key: asdict(grant) for key, grant in cards.items()} for host, cards in self.grants.items()}
        return {"message": known.model_dump(mode="json"), "grants": grants}

    def differs(self, nodes: Sequence[ClusterNode]) -> bool:
        return node_reports(nodes, self.models) != self.message.nodes

    def renew(self, engine: EngineFacts, nodes: Sequence[ClusterNode]) -> bool:
        """Take in what the cluster has and can do now; whether that is something else than was told."""
        now = Inventory(engine=engine, nodes=node_reports(nodes, self.models))
        changed = now != self.message
        self.message = self.known = now
        self.grants.clear()
        self.grants.update(cluster_grants(nodes))
        return changed

    def away(self, problem: dict[str, str], note: str | None) -> bool:
        """The cluster does not answer: what it last said, with the problem; with a ``note`` its nodes take no new work."""
        known = self.known or self.message
        engine = known.engine.model_copy(update={"problems": (*known.engine.problems, problem)})
        nodes: tuple[NodeReport, ...] = known.nodes
        if note is not None:
            nodes = tuple(switched_off(node, note) for node in nodes)
        now = Inventory(engine=engine, nodes=nodes)
        changed = [p["code"] for p in engine.problems] != [p["code"] for p in self.message.engine.problems]
        changed = changed or nodes != self.message.nodes
        if changed:
            self.message = now
        return changed
