"""Main-memory bandwidth: ``python -m zhisuan.site.probes.memory --json``.

The method is that of STREAM (J. D. McCalpin, "Memory Bandwidth and Machine Balance in Current High Performance
Computers", IEEE TCCA Newsletter, December 1995): arrays of 8-byte numbers at least four times the largest cache, the
best of several runs with the first one left out, 10⁶ bytes a second. Two kernels, by numpy, one thread a usable core:

* ``copy``: c = a, 16 bytes an element.
* ``triad``: a = b + q·c. numpy does it in two passes, a = q·c and a = a + b, which move 16 + 24 = 40 bytes an element;
  STREAM's single pass counts 24. The 40 are counted here, so that the figure is what memory did.

These are not "STREAM results" in the sense of its run rules.
"""

import argparse
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy
from numpy.typing import NDArray

from zhisuan.base.text import Text
from zhisuan.site.probes.protocol import Speaker
from zhisuan.site.probes.sampling import Nanoseconds, sample
from zhisuan.site.probes.types import BandwidthMeasurement

REPEATS_MIN = 4
REPEATS_MAX = 11
_ARRAYS = 3
_ELEMENT_BYTES = 8
_CACHE_RATIO = 4
# Where the cache size cannot be read: larger than most last-level caches.
_CACHE_UNKNOWN_BYTES = 32 * 1024**2
_CACHE_SIZE = re.compile(r"(\d+)([KM]?)")

Array = NDArray[numpy.float64]
Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Kernel:
    name: Literal["copy", "triad"]
    bytes_per_element: int
    run: Callable[[Array, Array, Array], None]


def _copy(a: Array, _b: Array, c: Array) -> None:
    numpy.copyto(c, a)


def _triad(a: Array, b: Array, c: Array) -> None:
    numpy.multiply(c, 3.0, out=a)
    numpy.add(a, b, out=a)


KERNELS = (Kernel("copy", 16, _copy), Kernel("triad", 40, _triad))


def cache_bytes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """The largest cache of the first processor (kernel ``sysfs-devices-system-cpu``), ``None`` when not told."""
    sizes = []
    for file in folder.glob("index*/size"):
        found = _CACHE_SIZE.fullmatch(file.read_text(encoding="ascii").strip())
        if found:
            sizes.append(int(found[1]) * {"": 1, "K": 1024, "M": 1024**2}[found[2]])
    return max(sizes, default=None)


def plan_array_bytes(cache: int | None, memory_mib: int) -> tuple[int, bool]:
    """Bytes of one array, and whether it is four times the cache; all three arrays stay within ``memory_mib``."""
    wanted = _CACHE_RATIO * (cache or _CACHE_UNKNOWN_BYTES)
    allowed = memory_mib * 1024**2 // _ARRAYS
    size = min(wanted, allowed) // _ELEMENT_BYTES * _ELEMENT_BYTES
    return size, cache is not None and size >= wanted


def measure(
    kernel: Kernel,
    parts: list[tuple[Array, Array, Array]],
    pool: ThreadPoolExecutor,
    *,
    exceeds_cache: bool,
    budget_ns: int,
    now_ns: Nanoseconds,
) -> BandwidthMeasurement:
    """Run a kernel over all parts at once, again and again, and keep the best run but the first."""
    started = now_ns()

    def run() -> None:
        # list() waits for all parts and raises what any of them raised.
        list(pool.map(lambda part: kernel.run(*part), parts))

    samples = sample(
        run, now_ns, deadline_ns=started + budget_ns, repeats_min=REPEATS_MIN, repeats_max=REPEATS_MAX
    ).times_ns[1:]
    elements = sum(part[0].size for part in parts)
    moved = elements * kernel.bytes_per_element
    return BandwidthMeasurement(
        kernel=kernel.name,
        megabytes_per_second=moved * 1000 // min(samples),
        method=f"numpy {numpy.__version__} {kernel.name}, {kernel.bytes_per_element} bytes an element, best",
        array_bytes=elements * _ELEMENT_BYTES,
        threads=len(parts),
        repeats=len(samples),
        exceeds_cache=exceeds_cache,
        duration_ms=(now_ns() - started) // 1_000_000,
    )


def make_parts(array_bytes: int, threads: int, pool: ThreadPoolExecutor) -> list[tuple[Array, Array, Array]]:
    """The three arrays in one piece a thread; each piece is first written by a thread, not by this one, so that on a
    machine with several memory nodes it does not all land on one."""
    elements = max(1, array_bytes // _ELEMENT_BYTES // threads)

    def make(_number: int) -> tuple[Array, Array, Array]:
        return numpy.full(elements, 1.0), numpy.full(elements, 2.0), numpy.full(elements, 0.5)

    return list(pool.map(make, range(threads)))


def probe(speaker: Speaker, options: argparse.Namespace, now_ns: Nanoseconds) -> None:
    array_bytes, exceeds_cache = plan_array_bytes(cache_bytes(), options.memory_mib)
    deadline = now_ns() + options.budget_ms * 1_000_000
    with ThreadPoolExecutor(options.threads) as pool:
        parts = make_parts(array_bytes, options.threads, pool)
        for done, kernel in enumerate(KERNELS):
            speaker.progress(Text(f"memory bandwidth: {kernel.name}", f"内存带宽：{kernel.name}"))
            budget = max(0, deadline - now_ns()) // (len(KERNELS) - done)
            result = measure(kernel, parts, pool, exceeds_cache=exceeds_cache, budget_ns=budget, now_ns=now_ns)
            speaker.result("memory", result, f"memory {kernel.name}: {result.megabytes_per_second} MB/s")


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m zhisuan.site.probes.memory", description="Measure main memory.")
    options.add_argument("--json", action="store_true", help="one JSON object a line")
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads that move data")
    options.add_argument("--budget-ms", type=int, default=1500, help="time for both kernels together")
    options.add_argument("--memory-mib", type=int, default=768, help="memory for the three arrays")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    speaker = Speaker(as_json=options.json)
    probe(speaker, options, time.perf_counter_ns)
    speaker.end()


if __name__ == "__main__":
    main()
