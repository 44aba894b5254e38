"""The workload file: YAML as SkyPilot users write it, as far as its fields are about work and not about one cloud.

A field that is not supported is refused by its name. Our own fields stand under ``zhisuan:``.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from zhisuan.base.errors import FieldProblem, InvalidInput, TooLarge
from zhisuan.base.text import Text
from zhisuan.workload import yaml_file

FILE_BYTES_MAX = 256 * 1024
NAME = re.compile(r"\w[\w .-]{0,62}")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DURATION = re.compile(r"([0-9]{1,9})\s*(s|m|h|d)?")
AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")
WHOLE = re.compile(r"[0-9]{1,9}")
SHOWN_LENGTH_MAX = 60
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DEFAULT_CPUS_MILLI = 1000
DEFAULT_MEMORY_MIB = 2048
DURATION_SECONDS_MAX = 30 * 86400
NODES_MAX = 1024
DEFAULT_LEASE_SECONDS = 7200
LEASE_SECONDS_MIN, LEASE_SECONDS_MAX = 120, 7 * 86400
NOT_YET = {
    "secrets", "volumes", "experimental", "config", "event_callback", "api_server", "inputs", "outputs", "pool", "serve",
}  # fmt: skip
RESOURCES_NOT_YET = {
    "infra", "cloud", "region", "zone", "instance_type", "use_spot", "spot_recovery", "job_recovery", "disk_size",
    "disk_tier", "network_tier", "image_id", "any_of", "ordered", "labels", "autostop", "priority", "accelerator_args",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """An endpoint: the port the work listens on and the path that answers 2xx once it is ready."""

    port: int
    readiness_path: str = "/health"


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """A checked workload. CPUs in milli-cores, memory in MiB, accelerators as (name as written, count), all on each of its
    nodes. ``lease_seconds``: how long its site may be cut off before the work ends there and goes on elsewhere."""

    name: str
    run: str
    setup: str | None
    envs: dict[str, str]
    cpus_milli: int
    memory_mib: int
    accelerators: tuple[tuple[str, int], ...]
    service: ServiceSpec | None
    workdir: str | None
    file_mounts: dict[str, str]
    artefacts: tuple[str, ...]
    max_seconds: int | None
    restarts: int
    num_nodes: int = 1
    lease_seconds: int = DEFAULT_LEASE_SECONDS

    @property
    def kind(self) -> str:
        return "service" if self.service else "job"

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "run": self.run, "setup": self.setup, "envs": self.envs, "cpus_milli": self.cpus_milli,
            "memory_mib": self.memory_mib, "accelerators": [list(a) for a in self.accelerators],
            "service": {"port": self.service.port, "readiness_path": self.service.readiness_path} if self.service else None,
            "workdir": self.workdir, "file_mounts": self.file_mounts, "artefacts": list(self.artefacts),
            "max_seconds": self.max_seconds, "restarts": self.restarts, "num_nodes": self.num_nodes,
            "lease_seconds": self.lease_seconds,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "WorkloadSpec":
        return cls(
            name=data["name"], run=data["run"], setup=data["setup"], envs=data["envs"], cpus_milli=data["cpus_milli"],
            memory_mib=data["memory_mib"], accelerators=tuple((str(n), int(c)) for n, c in data["accelerators"]),
            service=ServiceSpec(**data["service"]) if data["service"] else None, workdir=data["workdir"],
            file_mounts=data["file_mounts"], artefacts=tuple(data["artefacts"]), max_seconds=data["max_seconds"],
            restarts=data["restarts"], num_nodes=data.get("num_nodes", 1),
            lease_seconds=data.get("lease_seconds", DEFAULT_LEASE_SECONDS),
        )  # fmt: skip


@dataclass(slots=True)
class _Reader:
    """Collects every problem with its place, so that one look mends the whole file."""

    problems: list[FieldProblem] = field(default_factory=list)

    def wrong(self, where: str, en: str, zh: str) -> None:
        self.problems.append(FieldProblem(where, Text(en, zh)))

    def mapping(self, where: str, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(where, "must be a mapping of names to values", "必须是键值映射")
            return {}
        return {str(k): v for k, v in value.items()}

    def known(self, prefix: str, data: dict[str, Any], names: set[str], skypilot: set[str]) -> None:
        for name in data:
            where = f"{prefix}{name}"
            if name in skypilot:
                self.wrong(
                    where,
                    "is a SkyPilot field that zhisuan does not support; remove it",
                    "是 SkyPilot 字段，zhisuan 不支持，请删除",
                )
            elif name not in names:
                self.wrong(
                    where,
                    f"is not a field of a workload file; known here: {', '.join(sorted(names))}",
                    f"不是工作负载文件的字段；此处可用：{'、'.join(sorted(names))}",
                )

    def text(self, where: str, value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(where, "must be text", "必须是文本")
            return None
        return value


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
        raise _invalid(error.problems) from error
    reader = _Reader()
    if not isinstance(data, dict):
        raise _invalid(
            [FieldProblem("file", Text("must be a mapping with at least 'run'", "必须是至少包含 run 的键值映射"))]
        )
    spec = _read(reader, {str(k): v for k, v in data.items()})
    if reader.problems or spec is None:
        raise _invalid(reader.problems)
    return spec


def _invalid(problems: list[FieldProblem]) -> InvalidInput:
    return InvalidInput(
        Text("The workload file cannot be used as it is.", "工作负载文件有误，无法使用。"),
        Text(
            "Correct the fields named below; docs/reference/workload-file.md lists all fields.",
            "请按下列提示修改；字段说明见 docs/reference/workload-file.md。",
        ),
        code="invalid_workload",
        problems=problems,
    )


TOP = {"name", "workdir", "num_nodes", "resources", "envs", "file_mounts", "setup", "run", "service", "zhisuan"}


def _read(reader: _Reader, data: dict[str, Any]) -> WorkloadSpec | None:
    reader.known("", data, TOP, NOT_YET)
    name = _scalar(data.get("name", "workload"))
    if not NAME.fullmatch(name):
        reader.wrong(
            "name",
            "takes up to 63 letters, digits, spaces, dots and hyphens",
            "最多 63 个字母、汉字、数字、空格、点或连字符",
        )
    run = reader.text("run", data.get("run"))
    if not run or not run.strip():
        reader.wrong("run", "is needed: the commands to run", "不能为空：要执行的命令")
    num_nodes = _read_nodes(reader, data)
    cpus, memory, accelerators, port = _read_resources(reader, data.get("resources"))
    own = reader.mapping("zhisuan", data.get("zhisuan"))
    reader.known("zhisuan.", own, {"artefacts", "artifacts", "lease", "max_duration", "restarts"}, set())
    artefacts = _read_artefacts(reader, own)
    max_seconds = _read_duration(reader, "max_duration", own.get("max_duration"), 1, DURATION_SECONDS_MAX)
    lease_seconds = _read_duration(reader, "lease", own.get("lease"), LEASE_SECONDS_MIN, LEASE_SECONDS_MAX)
    restarts = own.get("restarts", 3)
    if not _is_whole(restarts) or not 0 <= restarts <= 20:
        reader.wrong("zhisuan.restarts", "is a whole number from 0 to 20", "须为 0 到 20 的整数")
        restarts = 0
    mounts = {}
    for target, source in reader.mapping("file_mounts", data.get("file_mounts")).items():
        if not isinstance(source, str) or "://" in source:
            reader.wrong(
                f"file_mounts.{target}", "takes a local path; buckets are not supported", "只支持本地路径，不支持存储桶"
            )
        elif ".." in target.split("/"):
            reader.wrong(f"file_mounts.{target}", "must not climb with '..'", "不能包含 ..")
        else:
            mounts[target] = source
    return WorkloadSpec(
        name=name, run=run or "", setup=reader.text("setup", data.get("setup")), envs=_read_envs(reader, data.get("envs")),
        cpus_milli=cpus, memory_mib=memory, accelerators=accelerators,
        service=_read_service(reader, data.get("service"), port), workdir=reader.text("workdir", data.get("workdir")),
        file_mounts=mounts, artefacts=artefacts, max_seconds=max_seconds, restarts=restarts,
        num_nodes=num_nodes, lease_seconds=lease_seconds or DEFAULT_LEASE_SECONDS,
    )  # fmt: skip


def _read_nodes(reader: _Reader, data: dict[str, Any]) -> int:
    nodes = data.get("num_nodes", 1)
    if not _is_whole(nodes) or not 1 <= nodes <= NODES_MAX:
        reader.wrong("num_nodes", f"is a whole number from 1 to {NODES_MAX}", f"须为 1 到 {NODES_MAX} 的整数")
        return 1
    if nodes > 1 and data.get("service") is not None:
        reader.wrong("num_nodes", "must be 1 for a service; a service runs on one node", "服务只能运行在一个节点上，须为 1")
        return 1
    return int(nodes)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _scalar(value: Any) -> str:
    """A text or number as it reads; empty for anything else."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _shown(value: Any) -> str:
    """A wrong value as a message shows it: what it is, cut short."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "…"


def _read_envs(reader: _Reader, value: Any) -> dict[str, str]:
    envs = {}
    for name, content in reader.mapping("envs", value).items():
        if not ENV_NAME.fullmatch(name):
            reader.wrong(f"envs.{name}", "is not a name for an environment variable", "不是有效的环境变量名")
        elif name.startswith("ZHISUAN_"):
            reader.wrong(
                f"envs.{name}",
                "names beginning with ZHISUAN_ are set by the platform",
                "以 ZHISUAN_ 开头的变量由平台设置",
            )
        elif content is None:
            reader.wrong(
                f"envs.{name}", "has no value; give one here or with --env", "没有值；请在文件中填写或用 --env 指定"
            )
        elif not isinstance(content, str | int | float | date):
            reader.wrong(f"envs.{name}", "must be one value", "必须是单个值")
        else:
            envs[name] = str(content)
    return envs


def _read_resources(reader: _Reader, value: Any) -> tuple[int, int, tuple[tuple[str, int], ...], int | None]:
    data = reader.mapping("resources", value)
    reader.known("resources.", data, {"cpus", "memory", "accelerators", "ports"}, RESOURCES_NOT_YET)
    cpus = _read_amount(reader, "resources.cpus", data.get("cpus"), 1000, DEFAULT_CPUS_MILLI)
    memory = _read_amount(reader, "resources.memory", data.get("memory"), 1024, DEFAULT_MEMORY_MIB)
    ports = data.get("ports")
    if isinstance(ports, list) and len(ports) == 1:
        ports = ports[0]
    port = None
    if ports is not None:
        if isinstance(ports, str) and WHOLE.fullmatch(ports):
            ports = int(ports)
        if _is_whole(ports) and 1024 <= ports <= 65535:
            port = ports
        else:
            reader.wrong("resources.ports", "takes one port from 1024 to 65535", "须为 1024 到 65535 的单个端口")
    return cpus, memory, _read_accelerators(reader, data.get("accelerators")), port


def _read_amount(reader: _Reader, where: str, value: Any, scale: int, default: int) -> int:
    """A number such as 2, 0.5, "4" or "4+" (at least: the platform gives exactly that), times ``scale``."""
    if value is None:
        return default
    digits = _scalar(value).strip().removesuffix("+").removesuffix("GB").strip()
    if not AMOUNT.fullmatch(digits):
        shown = _shown(value)
        reader.wrong(
            where, f"{shown} is not an amount; write 2 or 0.5 or '4+'", f"{shown} 不是有效数量；请写 2、0.5 或 '4+'"
        )
        return default
    whole, _, part = digits.partition(".")
    amount = (int(whole) * 1000 + int(part.ljust(3, "0") or 0)) * scale // 1000
    if amount <= 0 or amount > 10**9:
        reader.wrong(where, "must be more than zero and of this world", "必须大于零且在合理范围内")
        return default
    return amount


def _read_accelerators(reader: _Reader, value: Any) -> tuple[tuple[str, int], ...]:
    """``A100``, ``A100:2`` or ``{A100: 2}``; several kinds at once are alternatives in SkyPilot and not supported yet."""
    if value is None:
        return ()
    if isinstance(value, str):
        name, _, count = value.partition(":")
        pairs: list[tuple[str, Any]] = [(name.strip(), count.strip() or "1")]
    elif isinstance(value, dict) and len(value) == 1:
        pairs = [(str(k), v) for k, v in value.items()]
    else:
        reader.wrong("resources.accelerators", "takes one kind, such as A100:1", "只支持一种加速卡，例如 A100:1")
        return ()
    name, count = pairs[0]
    text = _scalar(count)
    if not name or not WHOLE.fullmatch(text) or not 1 <= int(text) <= 1024:
        reader.wrong(
            "resources.accelerators",
            "takes a name and a whole number of cards, such as A100:1",
            "须为名称和整卡数量，例如 A100:1",
        )
        return ()
    return ((name, int(text)),)


def _read_service(reader: _Reader, value: Any, port: int | None) -> ServiceSpec | None:
    if value is None:
        return None
    data = reader.mapping("service", value)
    reader.known(
        "service.",
        data,
        {"readiness_probe", "replicas", "port"},
        {"replica_policy", "load_balancing_policy", "tls", "pool", "workers", "ports"},
    )
    if not _is_whole(data.get("replicas", 1)) or data.get("replicas", 1) != 1:
        reader.wrong(
            "service.replicas", "more than one replica is not supported by this version", "本版本尚不支持多副本"
        )
    probe = data.get("readiness_probe", "/health")
    if isinstance(probe, dict):
        reader.known(
            "service.readiness_probe.",
            {str(k): v for k, v in probe.items()},
            {"path"},
            {"initial_delay_seconds", "post_data", "timeout_seconds", "headers"},
        )
        probe = probe.get("path")
    if not isinstance(probe, str) or not probe.startswith("/"):
        reader.wrong("service.readiness_probe", "takes a path such as /health", "须为路径，例如 /health")
        probe = "/health"
    own: Any = data.get("port", port)
    if not _is_whole(own) or not 1024 <= own <= 65535:
        reader.wrong(
            "service.port",
            "is needed: the port (1024 to 65535) that the work listens on",
            "不能为空：服务监听的端口（1024 到 65535）",
        )
        own = 8080
    return ServiceSpec(port=own, readiness_path=probe)


def _read_artefacts(reader: _Reader, own: dict[str, Any]) -> tuple[str, ...]:
    if "artefacts" in own and "artifacts" in own:
        reader.wrong(
            "zhisuan.artifacts", "is another name of artefacts; give one of them", "与 artefacts 含义相同，只能填写一个"
        )
    value = own.get("artefacts", own.get("artifacts", []))
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        reader.wrong("zhisuan.artefacts", "takes a list of paths below the artefact folder", "须为产物目录下的路径列表")
        return ()
    for path in value:
        if path.startswith("/") or ".." in path.split("/"):
            reader.wrong("zhisuan.artefacts", f"{path} leaves the artefact folder", f"{path} 超出了产物目录")
    return tuple(value)


def _read_duration(reader: _Reader, name: str, value: Any, least: int, most: int) -> int | None:
    """Seconds of a time such as ``20m`` below ``zhisuan:``; None where there is none, or a wrong one."""
    if value is None:
        return None
    found = DURATION.fullmatch(_scalar(value).strip())
    seconds = int(found.group(1)) * SECONDS[found.group(2) or "s"] if found else 0
    if not least <= seconds <= most:
        reader.wrong(
            f"zhisuan.{name}",
            f"takes a time such as 90s, 20m, 2h or 1d, from {least}s to {most // 86400}d",
            f"须为 90s、20m、2h、1d 之类的时长，范围 {least}s 到 {most // 86400}d",
        )
        return None
    return seconds
