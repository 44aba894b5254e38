"""What every node of a run is told of the others, under our names and under those of SkyPilot."""

from collections.abc import Sequence

from zhisuan.engines.contract import RunSpec


def node_variables(spec: RunSpec, rank: int, ips: Sequence[str]) -> dict[str, str]:
    """The variables of the node of ``rank``; ``ips`` are the addresses of all nodes, rank 0 first.

    The names of SkyPilot are those of its documentation, "Distributed multi-node jobs" (docs.skypilot.co).
    """
    addresses = "\n".join(ips)
    cards = str(len(spec.nodes[rank].accelerators))
    return {
        "ZHISUAN_NUM_NODES": str(len(spec.nodes)),
        "ZHISUAN_NODE_RANK": str(rank),
        "ZHISUAN_NODE_IPS": addresses,
        "ZHISUAN_NUM_ACCELERATORS": cards,
        "SKYPILOT_NUM_NODES": str(len(spec.nodes)),
        "SKYPILOT_NODE_RANK": str(rank),
        "SKYPILOT_NODE_IPS": addresses,
        "SKYPILOT_NUM_GPUS_PER_NODE": cards,
    }
