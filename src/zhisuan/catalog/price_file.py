"""The price book as people write it: YAML with decimal texts in yuan and 度. Reading it gives the exact ``PriceBook``,
or one error that names every fault and its place."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.catalog.price_book import (
    LARGE,
    MILLI,
    RATE_UDU_PER_HOUR_MAX,
    DedicatedTokens,
    FreeQuota,
    Name,
    Pack,
    PriceBook,
    ProductId,
    TokenPrices,
)

DEFAULT_FILE = "default_prices.yaml"
_DECIMAL = re.compile(r"[0-9]{1,16}(\.[0-9]{1,16})?")


class _PlainLoader(yaml.SafeLoader):
    """Safe YAML in which numbers stay the text they were written as: no amount passes through a float."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("bool", "null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _PlainLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str) or key in seen:
            what = f"{key!r} is given twice" if isinstance(key, str) else f"{key!r} is not a field name"
            raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_PlainLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _fault(en: str, zh: str) -> PydanticCustomError:
    return PydanticCustomError("amount", "{en}", {"en": en, "zh": zh})


def _scaled(places: int, maximum: int = LARGE, step: int = 1) -> BeforeValidator:
    """Decimal text with at most ``places`` places → a whole number of 10^-places."""

    def parse(value: object) -> int:
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise _fault(
                "must be a decimal number such as 12.50, without sign or exponent",
                "须为十进制数，如 12.50，不带符号和指数",
            )
        whole, _, fraction = value.partition(".")
        if len(fraction.rstrip("0")) > places:
            raise _fault(f"has more than {places} decimal places", f"小数位数超过 {places} 位")
        number: int = int(whole) * 10**places + int(fraction.rstrip("0").ljust(places, "0") or "0")
        if number > maximum:
            raise _fault("is too large", "数值过大")
        if number % step:
            raise _fault(
                "must be a multiple of 0.001 度 so that every share of a device has an exact rate",
                "须为 0.001 度的整数倍，使设备的任意份额都有精确费率",
            )
        return number

    return BeforeValidator(parse)


def _above_zero(value: int) -> int:
    if value == 0:
        raise _fault("must be above zero", "须大于零")
    return value


def _days(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[1-9][0-9]{0,4}", value) or int(value) > 36_500:
        raise _fault(
            "must be a whole number of days from 1 to 36500, or null for no end",
            "须为 1 到 36500 的整数天数，或用 null 表示长期有效",
        )
    return int(value)


NotZero = AfterValidator(_above_zero)
Yuan = Annotated[int, _scaled(6)]
UnitPriceYuan = Annotated[int, _scaled(8)]
Du = Annotated[int, _scaled(6)]
RateDu = Annotated[int, _scaled(6, RATE_UDU_PER_HOUR_MAX, MILLI), NotZero]
Percent = Annotated[int, _scaled(4, 1_000_000)]
Days = Annotated[int | None, BeforeValidator(_days)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _OnDemand(_Written):
    yuan_per_du: UnitPriceYuan


class _Spot(_Written):
    yuan_per_du: UnitPriceYuan


class _Devices(_Written):
    cpu_with_accelerator: Literal["free", "charged"]
    published_rates: bool
    rates_du_per_hour: dict[str, RateDu] = {}


class _FreeQuota(_Written):
    du: Du
    valid_days: Days
    provider_value_percent: Percent


class _Pack(_Written):
    product: ProductId
    name: Name
    du: Annotated[Du, NotZero]
    yuan: Annotated[Yuan, NotZero]
    valid_days: Days


class _Dedicated(_Written):
    input_du_per_million: Du = 0
    cached_input_du_per_million: Du = 0
    output_du_per_million: Du = 0


class _Tokens(_Written):
    dedicated: _Dedicated = _Dedicated()


def _known_classes(devices: _Devices, info: ValidationInfo) -> _Devices:
    known: set[str] = info.context["classes"] if info.context else set()
    unknown = sorted(set(devices.rates_du_per_hour) - known)
    if unknown:
        names = ", ".join(unknown)
        raise _fault(f"rates are given for unknown device classes: {names}", f"为未知的设备类型设置了费率：{names}")
    return devices


def _single_products(packs: tuple[_Pack, ...]) -> tuple[_Pack, ...]:
    products = [pack.product for pack in packs]
    twice = ", ".join(sorted({product for product in products if products.count(product) > 1}))
    if twice:
        raise _fault(f"these products are listed twice: {twice}", f"以下产品重复列出：{twice}")
    return packs


def _not_dearer(spot: _Spot | None, info: ValidationInfo) -> _Spot | None:
    on_demand = info.data.get("on_demand")
    if spot is not None and on_demand is not None and spot.yuan_per_du > on_demand.yuan_per_du:
        raise _fault("is above the on-demand price", "高于按需价格")
    return spot


class _PriceFile(_Written):
    currency: Literal["CNY"]
    on_demand: _OnDemand
    spot: Annotated[_Spot | None, AfterValidator(_not_dearer)] = None
    devices: Annotated[_Devices, AfterValidator(_known_classes)]
    free_quota: _FreeQuota
    packs: Annotated[tuple[_Pack, ...], AfterValidator(_single_products)]
    tokens: _Tokens = _Tokens()
    platform_fee_percent: Percent

    def to_book(self, published: Mapping[str, int]) -> PriceBook:
        rates = {**(published if self.devices.published_rates else {}), **self.devices.rates_du_per_hour}
        dedicated = self.tokens.dedicated
        return PriceBook(
            currency=self.currency,
            on_demand_price_e8_per_du=self.on_demand.yuan_per_du,
            spot_price_e8_per_du=self.spot.yuan_per_du if self.spot is not None else None,
            device_rates=rates,
            cpu_with_accelerator_free=self.devices.cpu_with_accelerator == "free",
            free_quota=FreeQuota(
                quantity_udu=self.free_quota.du,
                valid_days=self.free_quota.valid_days,
                provider_value_ppm=self.free_quota.provider_value_percent,
            ),
            packs=tuple(
                Pack(product=p.product, name=p.name, quantity_udu=p.du, price_ucny=p.yuan, valid_days=p.valid_days)
                for p in self.packs
            ),
            tokens=TokenPrices(
                dedicated=DedicatedTokens(
                    input_udu_per_million=dedicated.input_du_per_million,
                    cached_input_udu_per_million=dedicated.cached_input_du_per_million,
                    output_udu_per_million=dedicated.output_du_per_million,
                )
            ),
            platform_fee_ppm=self.platform_fee_percent,
        )


def published_rates() -> dict[str, int]:
    """10⁻⁶ 度 per hour of every device class that has a published rate."""
    return {
        c.class_id: c.published_rate_udu_per_hour
        for c in load_device_classes()
        if c.published_rate_udu_per_hour is not None
    }


def default_price_book() -> PriceBook:
    """The prices this release ships."""
    return parse_price_book(files("zhisuan.catalog").joinpath(DEFAULT_FILE).read_text(encoding="utf-8"))


def parse_price_book(text: str) -> PriceBook:
    """The price book written in ``text``. Raises ``InvalidInput`` with every fault and its place."""
    try:
        written = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - the loader is a SafeLoader
    except yaml.YAMLError as error:
        raise _invalid([_yaml_problem(error)]) from error
    try:
        file = _PriceFile.model_validate(written, context={"classes": {c.class_id for c in load_device_classes()}})
    except ValidationError as error:
        raise _invalid([_problem(fault) for fault in error.errors(include_url=False)]) from error
    return file.to_book(published_rates())


def _invalid(problems: list[FieldProblem]) -> InvalidInput:
    return InvalidInput(
        Text("The price book cannot be used as written.", "价目表内容有误，无法使用。"),
        Text("Correct the places named below; nothing was published.", "请按下列位置逐项修改；未发布任何内容。"),
        code="invalid_price_book",
        problems=problems,
    )


def _yaml_problem(error: yaml.YAMLError) -> FieldProblem:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
    what = getattr(error, "problem", None) or "is not YAML"
    return FieldProblem(where, Text(str(what), f"不是有效的 YAML（{what}）"))


_FAULTS = {
    "missing": Text("is missing", "缺少此项"),
    "extra_forbidden": Text("is not a field of the price book", "不是价目表的字段"),
    "string_pattern_mismatch": Text(
        "takes lower-case letters, digits and single hyphens", "只能用小写字母、数字和单个连字符"
    ),
    "string_too_long": Text("is too long", "文字过长"),
    "string_too_short": Text("must not be empty", "不能为空"),
    "string_type": Text("must be text", "须为文字"),
    "bool_parsing": Text("must be true or false", "须为 true 或 false"),
    "bool_type": Text("must be true or false", "须为 true 或 false"),
    "model_type": Text("must be a group of named fields", "须为一组带名称的字段"),
    "dict_type": Text("must be a group of named fields", "须为一组带名称的字段"),
    "tuple_type": Text("must be a list", "须为列表"),
}


def _problem(fault: ErrorDetails) -> FieldProblem:
    where = ".".join(str(part) for part in fault["loc"]) or "file"
    context = fault.get("ctx", {})
    if fault["type"] == "amount":
        return FieldProblem(where, Text(context["en"], context["zh"]))
    if fault["type"] == "literal_error":
        return FieldProblem(
            where, Text(f"must be {context['expected']}", f"只能是 {context['expected'].replace(' or ', ' 或 ')}")
        )
    return FieldProblem(where, _FAULTS.get(fault["type"]) or Text(fault["msg"], f"内容无效（{fault['msg']}）"))
