"""Pricing a shape of devices. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.catalog.price_book import MILLI, PriceBook

Kind = Literal["cpu", "memory", "accelerator"]
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class ShapeItem:
    """Devices asked for: ``amount`` in milli-cores (cpu), MiB (memory) or milli-cards (accelerator). ``factor_ppm``: the part
    of the class's rate that they are worth, where a site's devices are priced by measurement."""

    class_id: str | None
    kind: Kind
    amount: int
    factor_ppm: int = PPM


def device_rate(rate_udu_per_hour: int, amount: int, factor_ppm: int = PPM) -> int:
    """10⁻⁶ 度 an hour of ``amount`` thousandths of a device, cut down."""
    return rate_udu_per_hour * amount * factor_ppm // (MILLI * PPM)


@dataclass(frozen=True, slots=True)
class RatedItem:
    """One line of a quote: what it adds to the hourly rate, and why where that is nothing."""

    class_id: str | None
    kind: Kind
    amount: int
    rate_udu_per_hour: int
    free: Literal["memory", "with_accelerator"] | None


def rate_shape(book: PriceBook, shape: Sequence[ShapeItem]) -> tuple[RatedItem, ...]:
    """The hourly rate of each device of a shape. Memory is not priced; cores beside an accelerator are free when the
    book says so. Raises ``InvalidInput`` naming every device that has no class or no rate."""
    with_accelerator = any(item.kind == "accelerator" and item.amount for item in shape)
    problems: list[FieldProblem] = []
    rated: list[RatedItem] = []
    for number, item in enumerate(shape):
        where = f"shape.{number}"
        if item.amount < 0:
            problems.append(FieldProblem(where, Text("asks for less than nothing", "数量不能为负")))
        elif item.kind == "memory":
            rated.append(RatedItem(item.class_id, item.kind, item.amount, 0, "memory"))
        elif item.kind == "cpu" and with_accelerator and book.cpu_with_accelerator_free:
            rated.append(RatedItem(item.class_id, item.kind, item.amount, 0, "with_accelerator"))
        elif item.class_id is None:
            problems.append(FieldProblem(where, Text("is a device that has not been classified", "该设备尚未归类")))
        elif item.class_id not in book.device_rates:
            problems.append(
                FieldProblem(
                    where, Text(f"has no rate for device class {item.class_id}", f"设备类型 {item.class_id} 没有费率")
                )
            )
        else:
            rate = device_rate(book.device_rates[item.class_id], item.amount, item.factor_ppm)
            rated.append(RatedItem(item.class_id, item.kind, item.amount, rate, None))
    if problems:
        raise InvalidInput(
            Text("These devices cannot be priced.", "以下设备无法计价。"),
            Text(
                "Choose devices of a rated class, or ask the operator to publish a rate for them.",
                "请选择已有费率的设备类型，或请运营方为其发布费率。",
            ),
            code="unrated_device",
            problems=problems,
        )
    return tuple(rated)
