"""The public prices, exact: whole numbers as they are stored. People write them in a file (``price_file``).

Money is 10⁻⁶ yuan, a quantity 10⁻⁶ 度, a unit price 10⁻⁸ yuan per 度, a share parts per million.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text

MILLI = 1000
"""Devices are held in thousandths (milli-cores, milli-cards), so a rate per whole device that is a multiple of this
gives every share of it an exact rate."""

RATE_UDU_PER_HOUR_MAX = 10**10
LARGE = 10**15

ProductId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Whole = Annotated[int, Field(ge=0, le=LARGE)]
Positive = Annotated[int, Field(gt=0, le=LARGE)]
Days = Annotated[int, Field(gt=0, le=36_500)]
Ppm = Annotated[int, Field(ge=0, le=1_000_000)]
Rate = Annotated[int, Field(gt=0, le=RATE_UDU_PER_HOUR_MAX, multiple_of=MILLI)]


class _Exact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Name(_Exact):
    """What a product is called, in both languages."""

    en: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    zh: Annotated[str, StringConstraints(min_length=1, max_length=80)]


class FreeQuota(_Exact):
    """度 that a new tenant gets once. ``valid_days`` None never ends. The platform pays providers for its use at
    ``provider_value_ppm`` of the on-demand price."""

    quantity_udu: Whole
    valid_days: Days | None
    provider_value_ppm: Ppm


class Pack(_Exact):
    """Prepaid 度 with an expiry (算力包)."""

    product: ProductId
    name: Name
    quantity_udu: Positive
    price_ucny: Positive
    valid_days: Days | None


class DedicatedTokens(_Exact):
    """度 per million tokens of a deployment on the tenant's own lease; zero means that its compute includes them."""

    input_udu_per_million: Whole = 0
    cached_input_udu_per_million: Whole = 0
    output_udu_per_million: Whole = 0


class TokenPrices(_Exact):
    dedicated: DedicatedTokens = DedicatedTokens()


class PriceBook(_Exact):
    """All public prices of one version.

    ``device_rates`` is 10⁻⁶ 度 per hour of one whole card or core, by device class; a class without a rate is not sold.
    ``spot_price_e8_per_du``: of work that makes way for work on demand; None: no such work is sold.
    ``cpu_with_accelerator_free``: cores that serve accelerator work cost nothing.
    """

    currency: Literal["CNY"] = "CNY"
    on_demand_price_e8_per_du: Whole
    spot_price_e8_per_du: Whole | None = None
    device_rates: dict[str, Rate]
    cpu_with_accelerator_free: bool
    free_quota: FreeQuota
    packs: Annotated[tuple[Pack, ...], Field(strict=False)]
    tokens: TokenPrices
    platform_fee_ppm: Ppm

    @model_validator(mode="after")
    def _one_of_each_product(self) -> "PriceBook":
        products = [pack.product for pack in self.packs]
        twice = sorted({product for product in products if products.count(product) > 1})
        if twice:
            raise ValueError(f"packs are listed twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _spot_is_not_dearer(self) -> "PriceBook":
        if self.spot_price_e8_per_du is not None and self.spot_price_e8_per_du > self.on_demand_price_e8_per_du:
            raise ValueError("the spot price is above the on-demand price")
        return self

    def price_e8_per_du(self, *, spot: bool) -> int:
        """Raises ``InvalidInput`` for spot where none is sold."""
        if not spot:
            return self.on_demand_price_e8_per_du
        if self.spot_price_e8_per_du is None:
            raise InvalidInput(
                Text("No spot price is in force.", "当前价目表没有竞价（spot）价格。"),
                Text("Leave out use_spot, or ask the operator to publish a spot price.", "请去掉 use_spot，或请运营方公布竞价价格。"),
                code="no_spot_price",
                problems=[FieldProblem("resources.use_spot", Text("is not sold now", "当前不提供"))],
            )
        return self.spot_price_e8_per_du

    def pack(self, product: str) -> Pack | None:
        return next((pack for pack in self.packs if pack.product == product), None)

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "PriceBook":
        return cls.model_validate(stored)
