"""What the site offers, as the server was told of it, and how the engine knows each accelerator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zhisuan.engines.contract import AcceleratorGrant, ClusterNode
from zhisuan.engines.models import AcceleratorModel
from zhisuan.site.cluster import cluster_grants, node_reports
from zhisuan.wire.site import EngineFacts, Inventory


@dataclass(slots=True)
class Stock:
    """``grants`` are by host name and device key, and change in place when the nodes of a cluster do."""

    message: Inventory
    grants: dict[str, dict[str, AcceleratorGrant]]
    of_a_cluster: bool = False
    models: Mapping[str, AcceleratorModel] = field(default_factory=dict)

    @classmethod
    def of_cluster(
        cls, engine: EngineFacts, nodes: Sequence[ClusterNode], models: Mapping[str, AcceleratorModel]
    ) -> "Stock":
        message = Inventory(engine=engine, nodes=node_reports(nodes, models))
        return cls(message, cluster_grants(nodes), of_a_cluster=True, models=models)

    def renew(self, nodes: Sequence[ClusterNode]) -> bool:
        """Take in what the cluster has now; whether that is something else than before."""
        reports = node_reports(nodes, self.models)
        if reports == self.message.nodes:
            return False
        self.message = self.message.model_copy(update={"nodes": reports})
        self.grants.clear()
        self.grants.update(cluster_grants(nodes))
        return True

    def renew_engine(self, engine: EngineFacts) -> None:
        """What the engine can do with the nodes there are now."""
        self.message = self.message.model_copy(update={"engine": engine})
