"""One node's part of a run, from its plan to its exit record, in a process that Ray started.

What only the node knows is added here to what the agent planned: its Python, its ``PATH``, the accelerators that Ray
gave it and the addresses of all nodes.
"""

import os
import sys
import tempfile

from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.shim.main import boot_id
from zhisuan.engines.local.shim.plan import Plan
from zhisuan.engines.local.shim.supervise import now_ms
from zhisuan.engines.ray.node.endpoint import Endpoint
from zhisuan.engines.ray.node.supervise import NodeSupervisor

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG")
_DEVICES = (
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES",
    "ONEAPI_DEVICE_SELECTOR", "HABANA_VISIBLE_MODULES", "NEURON_RT_VISIBLE_CORES", "TPU_VISIBLE_CHIPS",
)  # fmt: skip
"""What Ray sets for the accelerators it gave (Ray documentation, "Accelerator Support")."""


def carry_out(folder: str, ips: list[str]) -> None:
    """Until the part's exit record is written. ``ips``: addresses of all nodes, rank 0 first; empty: this node alone."""
    os.umask(0o077)
    paths = RunPaths(folder)
    pairs = records.read(paths.plan)
    if pairs is None:
        return
    state = [("phase", "preparing"), ("claimed_ms", str(now_ms())), ("boot_id", boot_id())]
    state += [("supervisor_pid", str(os.getpid())), ("node", os.uname().nodename)]
    records.write_atomic(paths.state, state)
    single = dict(pairs)
    endpoint = Endpoint.make(paths, single["token"], tempfile.gettempdir()) if "token" in single else None
    if endpoint is not None:
        pairs = [*pairs, ("socket", endpoint.socket_path)]
    pairs = [("program", sys.executable) if pair == ("program", "python") else pair for pair in pairs]
    supervisor = NodeSupervisor(Plan(pairs), paths, state)
    try:
        _complete_job(single["job"], ips or [own_address()])
        if endpoint is not None:
            endpoint.open(own_address())
            supervisor.helpers.add(endpoint.pid)
    except (OSError, ValueError) as error:
        supervisor.refuse(f"the node could not prepare the work: {error}")
        return
    supervisor.run()
    if endpoint is not None:
        endpoint.close()


def own_address() -> str:
    """The address this node goes by in Ray, where the process that Ray started was told, else the one it would reach
    Ray's head from."""
    import socket

    told = os.environ.get("ZHISUAN_RAY_NODE_IP")
    if told:
        return told
    head, _, port = os.environ.get("RAY_ADDRESS", "").rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in head else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((head.strip("[]"), int(port)))
            return str(probe.getsockname()[0])
        except (OSError, ValueError):
            return "127.0.0.1"


def _complete_job(path: str, ips: list[str]) -> None:
    """Add to the record for the sandbox's first process. A later ``env`` line of the same name wins."""
    job = records.read(path)
    if job is None:
        raise OSError(f"{path}: no job record")
    env = dict(value.split("=", 1) for key, value in job if key == "env")
    added = {name: os.environ[name] for name in _PASSED_ON if name in os.environ and name not in env}
    if int(env["ZHISUAN_NUM_ACCELERATORS"]):
        added.update({name: os.environ[name] for name in _DEVICES if name in os.environ})
    for name in ("ZHISUAN_NODE_IPS", "SKYPILOT_NODE_IPS"):
        added[name] = "\n".join(ips)
    job += [("env", f"{name}={value}") for name, value in added.items()]
    records.write_atomic(path, job)
