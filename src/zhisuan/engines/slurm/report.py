"""What this cluster enforces, read from its own configuration."""

from collections.abc import Mapping

from zhisuan.engines.contract import EngineReport, IsolationLevel, Problem
from zhisuan.engines.slurm import problems


def _yes(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "no").lower() in ("yes", "true", "1")


def enforced(settings: Mapping[str, str]) -> dict[str, bool]:
    """Keys ``memory``, ``cpu`` and ``devices``. Slurm holds jobs to their share only with cgroups, and counts memory or
    cores only where SelectTypeParameters says so. ``settings`` as ``scontrol show config`` prints them."""
    grouped = "task/cgroup" in settings.get("TaskPlugin", "")
    counted = settings.get("SelectTypeParameters", "").upper()
    affinity = "task/affinity" in settings.get("TaskPlugin", "")
    return {
        "memory": grouped and _yes(settings, "ConstrainRAMSpace") and "MEMORY" in counted,
        "cpu": (grouped and _yes(settings, "ConstrainCores")) or affinity,
        "devices": grouped and _yes(settings, "ConstrainDevices"),
    }


def make_report(
    settings: Mapping[str, str],
    *,
    isolated: bool,
    may_start: bool,
    accelerated: bool,
    nodes: int,
    jupyterlab: bool | None,
    found: tuple[Problem, ...],
) -> EngineReport:
    """``isolated``: work runs in a sandbox or not at all. ``may_start``: there is a user to run it as."""
    limits = enforced(settings)
    trouble = list(found)
    if not isolated:
        trouble.append(problems.not_isolated())
    if not limits["memory"]:
        trouble.append(problems.memory_not_enforced())
    if not limits["cpu"]:
        trouble.append(problems.cpu_not_enforced())
    if accelerated and not limits["devices"]:
        trouble.append(problems.devices_not_enforced())
    if "slurmdbd" not in settings.get("AccountingStorageType", ""):
        trouble.append(problems.no_accounting())
    if settings.get("ProctrackType") == "proctrack/pgid":
        trouble.append(problems.processes_outlive_jobs())
    return EngineReport(
        engine="slurm",
        version=f"slurm {settings.get('SLURM_VERSION', '')}".strip(),
        isolation=IsolationLevel.user_sandbox if isolated and may_start else IsolationLevel.none,
        # Processes are counted in the sandbox's own user namespace.
        limits={"memory": limits["memory"], "cpu": limits["cpu"], "pids": isolated, "cgroup_version": None},
        problems=tuple(trouble),
        nodes_max=nodes,
        jupyterlab=jupyterlab,
    )
