"""All probes of one host, one after the other, each in its own process; see the README for the order and the times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zhisuan.base.text import Text
from zhisuan.site.discovery.types import Accelerator, HostFacts, Problem
from zhisuan.site.probes.child import ChildEnd, Launcher, launch, thread_environment
from zhisuan.site.probes.protocol import parse_problem
from zhisuan.site.probes.types import (
    BandwidthMeasurement,
    DiskMeasurement,
    Measurement,
    ProbeReport,
    Progress,
)

OnProgress = Callable[[Progress], None]

# Starting an interpreter and importing torch from a cold disk, on top of the measuring itself.
_START_SECONDS = 90.0
_MEMORY_SHARE = 4
_GPU_MATRICES_MIB = 4096


@dataclass(frozen=True, slots=True)
class Budget:
    """Milliseconds of measuring: for each device's matrix products, for memory, for the disk; and the disk file."""

    gemm_ms: int = 6000
    memory_ms: int = 1500
    disk_ms: int = 3000
    disk_mib: int = 64


@dataclass(frozen=True, slots=True)
class Step:
    """One child process."""

    what: Text
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    budget_ms: int


@dataclass(slots=True)
class _Collected:
    measurements: list[Measurement] = field(default_factory=list)
    memory: list[BandwidthMeasurement] = field(default_factory=list)
    disk: list[DiskMeasurement] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def probe_host(
    facts: HostFacts,
    *,
    data_dir: str,
    budget: Budget | None = None,
    on_progress: OnProgress | None = None,
    launcher: Launcher = launch,
) -> ProbeReport:
    """Measure the host that ``facts`` describes; ``data_dir`` must exist. Blocks for the sum of the budgets and for the
    imports. Never raises for a probe that fails: that is a problem in the report."""
    steps = plan(facts, data_dir, budget or Budget())
    collected = _Collected()
    tell = on_progress or _ignore
    for number, step in enumerate(steps, start=1):

        def say(what: Text, number: int = number) -> None:
            tell(Progress(number, len(steps), what))

        say(step.what)
        _run(step, collected, launcher, say)
    collected.problems += [_no_probe(device) for device in facts.accelerators if device.vendor not in _GPU_SELECTION]
    return ProbeReport(
        tuple(collected.measurements),
        tuple(collected.memory),
        collected.disk[0] if collected.disk else None,
        tuple(collected.problems),
    )


def _ignore(_progress: Progress) -> None:
    return None


def _nvidia(device: Accelerator) -> dict[str, str]:
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": device.key}


def _amd(device: Accelerator) -> dict[str, str]:
    return {"HIP_VISIBLE_DEVICES": str(device.index)}


# Vendors whose cards torch reaches as "cuda", and how one card is made the only visible one.
_GPU_SELECTION: dict[str, Callable[[Accelerator], dict[str, str]]] = {"nvidia": _nvidia, "amd": _amd}


def plan(facts: HostFacts, data_dir: str, budget: Budget) -> tuple[Step, ...]:
    """The processes to run: processor, memory, disk, then every card that can be measured."""
    threads = facts.cpu.cores_usable
    share_mib = max(16, facts.memory.usable_mib // _MEMORY_SHARE)
    pinned = thread_environment(threads)
    steps = [
        Step(
            Text("processor", "处理器"),
            "zhisuan.site.probes.gemm",
            (
                f"--threads={threads}",
                f"--budget-ms={budget.gemm_ms}",
                f"--memory-mib={min(1024, share_mib)}",
            ),
            # An accelerator must not be touched while the processor is measured.
            {**pinned, "CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""},
            budget.gemm_ms,
        ),
        Step(
            Text("main memory", "内存"),
            "zhisuan.site.probes.memory",
            (
                f"--threads={threads}",
                f"--budget-ms={budget.memory_ms}",
                f"--memory-mib={min(768, share_mib)}",
            ),
            pinned,
            budget.memory_ms,
        ),
        Step(
            Text("disk", "磁盘"),
            "zhisuan.site.probes.disk",
            (f"--budget-ms={budget.disk_ms}", f"--size-mib={budget.disk_mib}", "--", data_dir),
            {},
            budget.disk_ms,
        ),
    ]
    for device in facts.accelerators:
        select = _GPU_SELECTION.get(device.vendor)
        if select is not None:
            steps.append(
                Step(
                    Text(f"{device.name} (GPU {device.index})", f"{device.name}（GPU {device.index}）"),
                    "zhisuan.site.probes.gemm",
                    (
                        "--device=cuda",
                        f"--device-index={device.index}",
                        f"--budget-ms={budget.gemm_ms}",
                        f"--memory-mib={min(_GPU_MATRICES_MIB, max(16, device.memory_mib // _MEMORY_SHARE))}",
                    ),
                    {**pinned, **select(device)},
                    budget.gemm_ms,
                )
            )
    return tuple(steps)


def _run(step: Step, collected: _Collected, launcher: Launcher, tell: Callable[[Text], None]) -> None:
    def on_event(event: dict[str, Any]) -> None:
        try:
            _take(event, collected, tell)
        except (KeyError, TypeError, ValueError) as error:
            collected.problems.append(_failed(step, f"unreadable event {event.get('event')!r}: {error}"))

    timeout = step.budget_ms / 1000 * 2 + _START_SECONDS
    end = launcher(step.module, step.arguments, step.environment, timeout, on_event)
    if end.outcome == "timed_out":
        collected.problems.append(_timed_out(step, timeout))
    elif end.outcome == "failed":
        collected.problems.append(_failed(step, _last_line(end)))


def _take(event: dict[str, Any], collected: _Collected, tell: Callable[[Text], None]) -> None:
    if event["event"] == "progress":
        tell(Text(str(event["what"]["en"]), str(event["what"]["zh"])))
    elif event["event"] == "problem":
        collected.problems.append(parse_problem(event["value"]))
    elif event["event"] == "result" and event["kind"] == "gemm":
        collected.measurements.append(Measurement(**event["value"]))
    elif event["event"] == "result" and event["kind"] == "memory":
        collected.memory.append(BandwidthMeasurement(**event["value"]))
    elif event["event"] == "result" and event["kind"] == "disk":
        collected.disk.append(DiskMeasurement(**event["value"]))


def _last_line(end: ChildEnd) -> str:
    lines: Sequence[str] = end.error.splitlines()
    return lines[-1].strip() if lines else f"exit code {end.exit_code}, nothing said"


def _failed(step: Step, reason: str) -> Problem:
    return Problem(
        step.module.rpartition(".")[2],
        "probe_failed",
        Text(f"The probe of {step.what.en} failed: {reason}", f"测量{step.what.zh}失败：{reason}"),
        Text(
            f"Run “python -m {step.module}” by hand to see the whole error.",
            f"请手动运行“python -m {step.module}”查看完整错误。",
        ),
    )


def _timed_out(step: Step, seconds: float) -> Problem:
    limit = int(seconds)
    return Problem(
        step.module.rpartition(".")[2],
        "probe_timed_out",
        Text(
            f"The probe of {step.what.en} was stopped after {limit} s.",
            f"测量{step.what.zh}超过 {limit} 秒，已停止。",
        ),
        Text(
            "The device hangs or the host is overloaded; check both and probe again.",
            "设备可能卡死或主机负载过高；请检查后重新测量。",
        ),
    )


def _no_probe(device: Accelerator) -> Problem:
    return Problem(
        "gemm",
        "no_probe_for_vendor",
        Text(
            f"{device.name} (index {device.index}) was not measured: there is no probe for this vendor yet.",
            f"未测量 {device.name}（序号 {device.index}）：暂时没有适用于该厂商的测量程序。",
        ),
        Text(
            "Its nominal and published rates stand; the measured one stays empty.",
            "标称值和公布值照常显示，实测值留空。",
        ),
    )
