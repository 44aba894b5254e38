"""What multiplies matrices: numpy on the processor, torch on the processor and on accelerators it reaches as "cuda"."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from zhisuan.site.probes.types import DeviceKind

# Given a size, make the operands and return the product to be timed; raises MemoryError or RuntimeError when too large.
Prepare = Callable[[int], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Subject:
    """One precision of one device, and the software that multiplies."""

    precision: str
    software: str
    prepare: Prepare


def numpy_subjects(threads: int) -> Iterator[Subject]:
    import numpy

    software = f"numpy {numpy.__version__}, {threads} threads"
    for precision, dtype in (("fp32", numpy.float32), ("fp64", numpy.float64)):

        def prepare(size: int, dtype: Any = dtype) -> Callable[[], object]:
            generator = numpy.random.default_rng(size)
            left = generator.random((size, size), dtype=dtype)
            right = generator.random((size, size), dtype=dtype)
            product = numpy.empty((size, size), dtype=dtype)
            return lambda: numpy.matmul(left, right, out=product)

        yield Subject(precision, software, prepare)


def torch_subjects(torch: Any, kind: DeviceKind, threads: int) -> Iterator[Subject]:
    """bf16 and fp16 on the processor; also fp32 and fp64 on an accelerator, which numpy cannot reach."""
    precisions: tuple[str, ...] = ("bf16", "fp16") if kind == "cpu" else ("bf16", "fp16", "fp32", "fp64")
    software = f"torch {torch.__version__}" + (f", {threads} threads" if kind == "cpu" else "")
    torch.set_num_threads(threads)
    # "fp32" must mean 24-bit products, not the shorter TF32.
    torch.set_float32_matmul_precision("highest")
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "fp64": torch.float64}
    for precision in precisions:

        def prepare(size: int, dtype: Any = dtypes[precision]) -> Callable[[], object]:
            generator = torch.Generator(device=kind).manual_seed(size)
            left, right = (torch.rand((size, size), device=kind, generator=generator).to(dtype) for _ in range(2))
            product = torch.empty((size, size), dtype=dtype, device=kind)
            if kind == "cpu":
                return lambda: torch.matmul(left, right, out=product)

            def multiply() -> None:
                torch.matmul(left, right, out=product)
                torch.cuda.synchronize()

            return multiply

        yield Subject(precision, software, prepare)
