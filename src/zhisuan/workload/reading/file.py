"""The workload file: YAML as SkyPilot users write it, as far as its fields are about work and not about one cloud.

A field that is not supported is refused by its name. Our own fields stand under ``zhisuan:``.
"""

import re
from dataclasses import replace
from typing import Any

from zhisuan.base.errors import FieldProblem, InvalidInput, TooLarge
from zhisuan.base.text import Text
from zhisuan.workload import workspace, yaml_file
from zhisuan.workload.reading.demands import read_demands
from zhisuan.workload.reading.environment import read_envs
from zhisuan.workload.reading.mounts import read_mounts
from zhisuan.workload.reading.own import read_own
from zhisuan.workload.reading.reader import Reader, is_whole, scalar
from zhisuan.workload.reading.refused import GIT_REFUSED, TOP_REFUSED
from zhisuan.workload.reading.resources import read_resources
from zhisuan.workload.reading.secrets import read_secrets
from zhisuan.workload.reading.service import read_service
from zhisuan.workload.reading.survival import read_survival
from zhisuan.workload.reading.tasks import MISPLACED, read_tasks
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.survival import Survival
from zhisuan.workload.tasks import CHECKPOINT_SECONDS, Tasks
from zhisuan.workload.volume_mounts import read_volumes

FILE_BYTES_MAX = 256 * 1024
NAME = re.compile(r"\w[\w .-]{0,62}")
NODES_MAX = 1024
TOP = {
    "name",
    "workdir",
    "num_nodes",
    "resources",
    "envs",
    "secrets",
    "file_mounts",
    "setup",
    "run",
    "service",
    "volumes",
    "zhisuan",
}


def parse_workload(text: str) -> WorkloadSpec:
    """The checked specification of a workload file. Raises ``InvalidInput`` naming every wrong field, ``TooLarge``."""
    if len(text.encode(errors="replace")) > FILE_BYTES_MAX:
        raise TooLarge(
            Text("The workload file is larger than 256 KiB.", "工作负载文件超过 256 KiB。"),
            Text("Put code and data into the workdir instead.", "请把代码和数据放入 workdir。"),
        )
    try:
        data = yaml_file.load(text)
    except yaml_file.BadYaml as error:
        raise invalid_workload(error.problems) from error
    reader = Reader()
    if not isinstance(data, dict):
        raise invalid_workload(
            [FieldProblem("file", Text("must be a mapping with at least 'run'", "必须是至少包含 run 的键值映射"))]
        )
    spec = _read(reader, {str(k): v for k, v in data.items()})
    if reader.problems or spec is None:
        raise invalid_workload(reader.problems)
    return spec


def invalid_workload(problems: list[FieldProblem]) -> InvalidInput:
    return InvalidInput(
        Text("The workload file cannot be used as it is.", "工作负载文件有误，无法使用。"),
        Text(
            "Correct the fields named below; docs/reference/workload-file.md lists all fields.",
            "请按下列提示修改；字段说明见 docs/reference/workload-file.md。",
        ),
        code="invalid_workload",
        problems=problems,
    )


def _read(reader: Reader, data: dict[str, Any]) -> WorkloadSpec | None:
    reader.known("", data, TOP, TOP_REFUSED | MISPLACED)
    name = scalar(data.get("name", "workload"))
    if not NAME.fullmatch(name):
        reader.wrong(
            "name",
            "takes up to 63 letters, digits, spaces, dots and hyphens",
            "最多 63 个字母、汉字、数字、空格、点或连字符",
        )
    run = reader.text("run", data.get("run"))
    kind = workspace.read_kind(reader.wrong, _fields(data, "zhisuan"), data)
    if kind is None and (not run or not run.strip()):
        reader.wrong("run", "is needed: the commands to run", "不能为空：要执行的命令")
    num_nodes = read_nodes(reader, data)
    resources = read_resources(reader, data.get("resources"))
    own = read_own(reader, data.get("zhisuan"))
    volumes = read_volumes(
        reader, reader.mapping("volumes", data.get("volumes")), _fields(data, "file_mounts"),
        service=data.get("service") is not None, nodes=num_nodes,
    )  # fmt: skip
    envs = read_envs(reader, data.get("envs"))
    tasks = read_tasks(
        reader, _fields(data, "zhisuan").get("tasks"), service=data.get("service") is not None, workspace=kind is not None
    )
    spec_kind = "workspace" if kind else "service" if data.get("service") is not None else "job"
    demands = read_demands(
        reader, _fields(data, "zhisuan"), kind=spec_kind, max_seconds=own.max_seconds, regions=own.where.regions,
        cards=bool(resources.accelerators or any(a.accelerators for a in resources.alternatives)),
    )  # fmt: skip
    return WorkloadSpec(
        name=name, run=run or "", setup=reader.text("setup", data.get("setup")), envs=envs,
        secrets=read_secrets(reader, data.get("secrets"), envs),
        cpus_milli=resources.cpus_milli, memory_mib=resources.memory_mib, accelerators=resources.accelerators,
        service=read_service(reader, data.get("service"), resources.port),
        workdir=_read_workdir(reader, data.get("workdir")), file_mounts=read_mounts(reader, data.get("file_mounts")),
        artefacts=own.artefacts, max_seconds=own.max_seconds, restarts=own.restarts, num_nodes=num_nodes,
        lease_seconds=own.lease_seconds, alternatives=resources.alternatives, ordered=resources.ordered,
        where=own.where, survival=_read_survival(reader, data, tasks),
        volumes=volumes, workspace=kind, tasks=tasks, demands=demands, priority=own.priority,
    )  # fmt: skip


def _read_survival(reader: Reader, data: dict[str, Any], tasks: Tasks | None) -> Survival:
    """Of an order of tasks the checkpoint is saved while it runs, asked for or not: it holds which of them have finished."""
    survival = read_survival(reader, data)
    if tasks is None or survival.checkpoint_seconds is not None:
        return survival
    return replace(survival, checkpoint_seconds=CHECKPOINT_SECONDS)


def _read_workdir(reader: Reader, value: Any) -> str | None:
    if isinstance(value, dict):
        reader.refuse("workdir", GIT_REFUSED)
        return None
    return reader.text("workdir", value)


def read_nodes(reader: Reader, data: dict[str, Any]) -> int:
    nodes = data.get("num_nodes", 1)
    if not is_whole(nodes) or not 1 <= nodes <= NODES_MAX:
        reader.wrong("num_nodes", f"is a whole number from 1 to {NODES_MAX}", f"须为 1 到 {NODES_MAX} 的整数")
        return 1
    if nodes > 1 and data.get("service") is not None:
        reader.wrong("num_nodes", "must be 1 for a service; a service runs on one node", "服务只能运行在一个节点上，须为 1")
        return 1
    return int(nodes)


def _fields(data: dict[str, Any], name: str) -> dict[str, Any]:
    """What stands below ``name``; nothing where it is no mapping, which is told already."""
    below = data.get(name)
    return {str(k): v for k, v in below.items()} if isinstance(below, dict) else {}
