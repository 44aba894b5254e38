"""The floating-point rate of a device by dense matrix products: ``python -m zhisuan.site.probes.gemm --json``.

A product of two n × n matrices counts 2·n³ operations: n³ multiplications and n³ additions (LAPACK Working Note 41,
operation counts of the level 3 BLAS). The size doubles from 256 as long as the next one leaves time for a warm-up and
three timed runs. The result is the median of the timed runs, so that neither a lucky nor an interrupted one decides.
"""

import argparse
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from zhisuan.base.text import Text
from zhisuan.site.discovery.types import Problem
from zhisuan.site.probes.gemm_subjects import Prepare, Subject, numpy_subjects, torch_subjects
from zhisuan.site.probes.protocol import Speaker
from zhisuan.site.probes.sampling import Nanoseconds, sample, time_once
from zhisuan.site.probes.types import DeviceKind, Measurement

SIZE_FIRST = 256
SIZE_LAST = 16_384
REPEATS_MIN = 3
REPEATS_MAX = 20
# A precision that gets less than this cannot be sized and repeated.
SLICE_MIN_NS = 300_000_000
_MATRICES = 3
_BYTES = {"fp64": 8, "fp32": 4, "bf16": 2, "fp16": 2}


def operations(size_n: int) -> int:
    """Floating-point operations of one product of two n × n matrices."""
    return 2 * size_n**3


def mflops(size_n: int, time_ns: int) -> int:
    """Operations ÷ time in whole 10⁶ a second.

    >>> mflops(1000, 1_000_000_000)
    2000
    """
    return operations(size_n) * 1000 // time_ns


def size_limit(precision: str, memory_mib: int) -> int:
    """The largest size of the doubling series whose three matrices fit into ``memory_mib``."""
    size = SIZE_FIRST
    while size < SIZE_LAST and _MATRICES * (2 * size) ** 2 * _BYTES[precision] <= memory_mib * 1024**2:
        size *= 2
    return size


def measure(
    subject: Subject,
    device: tuple[DeviceKind, int],
    *,
    budget_ns: int,
    memory_mib: int,
    now_ns: Nanoseconds,
) -> Measurement:
    """Size, repeat and reduce one subject. Raises what ``prepare`` or the product raises at the first size."""
    started = now_ns()
    deadline = started + budget_ns
    limit = size_limit(subject.precision, memory_mib)
    size = SIZE_FIRST
    multiply, once = _warm(subject.prepare, size, now_ns)
    # Twice the size takes eight times the operations; one more run than the least for the warm-up.
    while 2 * size <= limit and now_ns() + 8 * once * (REPEATS_MIN + 2) <= deadline:
        try:
            multiply, once = _warm(subject.prepare, 2 * size, now_ns)
        except (MemoryError, RuntimeError):
            break
        size *= 2
    samples = sample(multiply, now_ns, deadline_ns=deadline, repeats_min=REPEATS_MIN, repeats_max=REPEATS_MAX)
    kind, index = device
    return Measurement(
        device_kind=kind,
        device_index=index,
        precision=subject.precision,
        mflops=mflops(size, samples.median_ns),
        mflops_best=mflops(size, samples.best_ns),
        method=f"{subject.software}, n×n product, 2n³ operations, median",
        size_n=size,
        repeats=len(samples.times_ns),
        duration_ms=(now_ns() - started) // 1_000_000,
    )


def _warm(prepare: Prepare, size: int, now_ns: Nanoseconds) -> tuple[Callable[[], object], int]:
    multiply = prepare(size)
    multiply()
    return multiply, time_once(multiply, now_ns)


def probe(speaker: Speaker, options: argparse.Namespace, now_ns: Nanoseconds) -> None:
    """Measure the device that the options name; every precision is a result or a problem."""
    deadline = now_ns() + options.budget_ms * 1_000_000
    has_torch = not options.without_torch and importlib.util.find_spec("torch") is not None
    if options.device == "cpu":
        # Half the budget stays for torch, whose import alone may take a second or two.
        until = now_ns() + (deadline - now_ns()) // (2 if has_torch else 1)
        _measure_all(speaker, list(numpy_subjects(options.threads)), options, until, now_ns)
    elif not has_torch:
        speaker.problem(_no_torch(options.device_index))
    if not has_torch:
        return
    speaker.progress(Text("loading torch", "正在加载 torch"))
    torch = _import_torch(speaker)
    if torch is None:
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        speaker.problem(_no_cuda(options.device_index))
        return
    _measure_all(speaker, list(torch_subjects(torch, options.device, options.threads)), options, deadline, now_ns)


def _measure_all(
    speaker: Speaker, subjects: Sequence[Subject], options: argparse.Namespace, until_ns: int, now_ns: Nanoseconds
) -> None:
    """Each subject gets an equal part of what is left of the time, and at least ``SLICE_MIN_NS``."""
    kind: DeviceKind = options.device
    index: int = options.device_index
    label = "CPU" if kind == "cpu" else f"GPU {index}"
    for done, subject in enumerate(subjects):
        precision = subject.precision
        speaker.progress(Text(f"{label}: {precision} matrix product", f"{label}：{precision} 矩阵乘"))
        budget = max(SLICE_MIN_NS, (until_ns - now_ns()) // (len(subjects) - done))
        try:
            result = measure(subject, (kind, index), budget_ns=budget, memory_mib=options.memory_mib, now_ns=now_ns)
        except (MemoryError, RuntimeError) as error:
            speaker.problem(_precision_failed(label, precision, error))
        else:
            speaker.result("gemm", result, f"{label} {precision}: {result.mflops} MFLOP/s (n={result.size_n})")


def _import_torch(speaker: Speaker) -> Any:
    try:
        import torch
    except (ImportError, OSError) as error:
        speaker.problem(
            Problem(
                "gemm",
                "torch_broken",
                Text(f"torch is installed but cannot be loaded: {error}", f"已安装 torch，但无法加载：{error}"),
                Text("Install it again for this machine.", "请为本机重新安装 torch。"),
            )
        )
        return None
    return torch


def _no_torch(index: int) -> Problem:
    return Problem(
        "gemm",
        "torch_missing",
        Text(f"GPU {index} was not measured: torch is not installed.", f"未测量 GPU {index}：没有安装 torch。"),
        Text(
            "Install a torch build for this GPU in the agent's environment and probe again.",
            "请在代理的运行环境中安装与该 GPU 匹配的 torch，然后重新测量。",
        ),
    )


def _no_cuda(index: int) -> Problem:
    return Problem(
        "gemm",
        "gpu_unreachable",
        Text(
            f"GPU {index} was not measured: the installed torch finds no usable GPU.",
            f"未测量 GPU {index}：当前 torch 找不到可用的 GPU。",
        ),
        Text(
            "Install a torch build that fits the driver (not the CPU-only build) and check the access to the device.",
            "请安装与驱动匹配的 torch（而不是仅 CPU 版本），并检查设备访问权限。",
        ),
    )


def _precision_failed(label: str, precision: str, error: Exception) -> Problem:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return Problem(
        "gemm",
        "precision_failed",
        Text(f"{label} did not multiply in {precision}: {reason}", f"{label} 无法以 {precision} 运算：{reason}"),
        Text("The other precisions are not affected.", "其他精度不受影响。"),
    )


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m zhisuan.site.probes.gemm", description="Measure matrix products.")
    options.add_argument("--json", action="store_true", help="one JSON object a line")
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda is the first visible GPU")
    options.add_argument("--device-index", type=int, default=0, help="the index to report")
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads on the processor")
    options.add_argument("--budget-ms", type=int, default=6000, help="time for all precisions together")
    options.add_argument("--memory-mib", type=int, default=1024, help="memory for the matrices")
    options.add_argument("--without-torch", action="store_true", help="numpy only")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    speaker = Speaker(as_json=options.json)
    probe(speaker, options, time.perf_counter_ns)
    speaker.end()


if __name__ == "__main__":
    main()
