"""Taking in what an agent found at its site: nodes, devices and what was measured on them."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.supply.inventory import EngineRecord, NodeRecord
from zhisuan.supply.tables import Device, Measurement, Node, Site


def take_inventory(tx: Tx, site: Site, engine: EngineRecord, nodes: Sequence[NodeRecord]) -> None:
    """Record what the agent found. A device that vanished keeps its leases and takes no new ones; capacity never
    falls below what is allocated (the difference shows in ``reported_capacity``)."""
    _check_names(nodes)
    site.engine = engine.as_dict()
    known = {n.hostname: n for n in tx.session.scalars(select(Node).where(Node.site_id == site.id).with_for_update())}
    for record in nodes:
        node = known.pop(record.hostname, None)
        if node is None:
            node = Node(
                id=tx.ids.new("node"), site_id=site.id, hostname=record.hostname, facts=record.facts,
                boot_id=record.boot_id, present=True, updated_at=tx.now,
            )  # fmt: skip
            tx.session.add(node)
        node.facts, node.boot_id, node.present, node.updated_at = record.facts, record.boot_id, True, tx.now
        tx.session.flush()
        _take_devices(tx, node, record)
    for gone in known.values():
        gone.present = False
    tx.emit("site.inventory", site.id, {"nodes": len(nodes)})


def _check_names(nodes: Sequence[NodeRecord]) -> None:
    """A host name twice in a site, or a device key twice in a node, would make two things one."""
    names = [n.hostname for n in nodes]
    twice = [name for name, count in Counter(names).items() if count > 1]
    twice += [
        f"{n.hostname}/{key}" for n in nodes for key, count in Counter(d.key for d in n.devices).items() if count > 1
    ]
    if twice:
        raise InvalidInput(
            Text(f"The inventory names {twice[0]} twice.", f"设备清单中 {twice[0]} 重复。"),
            Text("Give each node and each device of a node a name of its own.", "节点名与节点内的设备键不得重复。"),
            problems=[FieldProblem("nodes", Text(f"{name} is there twice", f"{name} 重复")) for name in twice],
        )


def _take_devices(tx: Tx, node: Node, record: NodeRecord) -> None:
    known = {
        d.key: d
        for d in tx.session.scalars(
            select(Device).where(Device.node_id == node.id).order_by(Device.id).with_for_update()
        )
    }
    for found in record.devices:
        device = known.pop(found.key, None)
        if device is None:
            device = Device(
                id=tx.ids.new("dev"), node_id=node.id, key=found.key, kind=found.kind, class_id=found.class_id,
                name=found.name, capacity=found.capacity, reported_capacity=found.capacity, allocated=0,
                memory_mib=found.memory_mib, health=found.health, note=found.note, present=True,
            )  # fmt: skip
            tx.session.add(device)
            tx.session.flush()
        device.class_id, device.name, device.health, device.note = found.class_id, found.name, found.health, found.note
        device.memory_mib, device.present = found.memory_mib, True
        device.reported_capacity = found.capacity
        device.capacity = max(found.capacity, device.allocated)
        _take_measurements(tx, device, found.measurements)
    for gone in known.values():
        gone.present = False
    tx.session.flush()


def _take_measurements(tx: Tx, device: Device, measured: Sequence[tuple[str, int, str, datetime]]) -> None:
    have = set(
        tx.session.execute(select(Measurement.precision, Measurement.at).where(Measurement.device_id == device.id))
    )
    for precision, mflops, method, at in measured:
        if (precision, at) not in have:
            tx.session.add(
                Measurement(
                    id=tx.ids.new("msr"), device_id=device.id, precision=precision, mflops=mflops, method=method, at=at
                )
            )
