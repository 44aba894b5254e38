"""What every rank of a run is given: its own specification, and what it is told of the others. Pure."""

from dataclasses import replace

from zhisuan.engines.contract import RunSpec
from zhisuan.engines.hosts.gang import Order
from zhisuan.engines.local.seat import Seat
from zhisuan.engines.node_env import node_variables


def rank_spec(spec: RunSpec, rank: int) -> RunSpec:
    """For the engine of one host. The service is that of rank 0."""
    return replace(spec, nodes=(spec.nodes[rank],), service=spec.service if rank == 0 else None)


def seat_of(order: Order, rank: int) -> Seat | None:
    """A run of one host is one like any other there."""
    if len(order.hosts) == 1:
        return None
    variables = node_variables(order.spec, rank, order.addresses)
    if order.rendezvous_port is not None:
        variables["ZHISUAN_RENDEZVOUS_PORT"] = str(order.rendezvous_port)
    return Seat(variables, order.addresses[rank], order.network)
