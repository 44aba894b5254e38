"""What the provider asked for on the command line, read and checked before anything is touched."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from zhisuan.app.supervisor import runtime_prefixes
from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.settings import default_data_dir
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.site.config import AgentConfig
from zhisuan.wire.joining import ClaimMessage, SiteRegistration

EngineKind = Literal["local", "slurm", "ray", "hosts"]
ENGINES: tuple[EngineKind, ...] = ("local", "slurm", "ray", "hosts")
_CLAIM = re.compile(r"(?P<class_id>[a-z0-9][a-z0-9._-]*):(?P<count>\d{1,6})(?:@(?P<tflops>\d{1,6}(?:\.\d{1,3})?))?")


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as written. ``token`` is needed the first time; numbers are decimal text."""

    url: str
    token: str | None = None
    data_dir: Path | None = None
    engine: str = "local"
    engine_options: Path | None = None
    allow_unisolated: bool = False
    ca_file: Path | None = None
    region: str | None = None
    city: str | None = None
    latitude: str | None = None
    longitude: str | None = None
    echo_address: str | None = None
    link_networks: tuple[str, ...] = ()
    pue: str | None = None
    tariff: str | None = None
    claims: tuple[str, ...] = ()
    measure: bool = True

    @property
    def folder(self) -> Path:
        return (self.data_dir or default_data_dir().with_name("zhisuan-site")).absolute()


def registration_of(asked: Asked) -> SiteRegistration | None:
    """What the options say of the site; None when they say nothing. Raises ``InvalidInput`` with every wrong option."""
    problems: list[FieldProblem] = []
    said: dict[str, Any] = {"region": asked.region, "city": asked.city, "echo_address": asked.echo_address}
    for option, name, text, scale in (
        ("--latitude", "latitude_e6", asked.latitude, 6),
        ("--longitude", "longitude_e6", asked.longitude, 6),
        ("--pue", "pue_milli", asked.pue, 3),
        ("--tariff", "tariff_ucny_per_kwh", asked.tariff, 6),
    ):
        said[name] = None if text is None else _scaled(option, text, scale, problems)
    if asked.claims:
        said["claims"] = [claim for c in asked.claims if (claim := _claim(c, problems))]
    if problems:
        raise InvalidInput(
            Text("The site is not described in a way that can be registered.", "站点描述有误，无法登记。"),
            Text("Correct the options named below.", "请修改下列选项。"),
            problems=problems,
        )
    given = {name: value for name, value in said.items() if value is not None}
    return SiteRegistration(**given) if given else None


def _scaled(option: str, text: str, places: int, problems: list[FieldProblem]) -> int | None:
    """``1.25`` in thousandths is 1250."""
    try:
        value = Decimal(text).scaleb(places)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value != value.to_integral_value():
        told = Text(
            f"{text!r} is not a number with at most {places} decimals", f"{text!r} 不是最多 {places} 位小数的数"
        )
        problems.append(FieldProblem(option, told))
        return None
    return int(value)


def _claim(text: str, problems: list[FieldProblem]) -> ClaimMessage | None:
    found = _CLAIM.fullmatch(text.strip().lower())
    if found is None or int(found["count"]) < 1:
        told = Text(
            f"{text!r} is not CLASS:COUNT or CLASS:COUNT@TFLOPS, such as nvidia-a100-sxm4-80g:8@312",
            f"{text!r} 不符合 型号:数量 或 型号:数量@TFLOPS 的格式，例如 nvidia-a100-sxm4-80g:8@312",
        )
        problems.append(FieldProblem("--claim", told))
        return None
    if found["class_id"] not in {c.class_id for c in load_device_classes()}:
        told = Text(
            f"{found['class_id']} is not a device class; `zhisuan catalog` lists them",
            f"{found['class_id']} 不是设备型号；zhisuan catalog 列出全部型号",
        )
        problems.append(FieldProblem("--claim", told))
        return None
    tflops = _scaled("--claim", found["tflops"], 3, problems) if found["tflops"] else None
    return ClaimMessage(class_id=found["class_id"], count=int(found["count"]), tflops_milli=tflops)


def config_of(asked: Asked) -> AgentConfig:
    """The agent's configuration, without a token. Raises ``InvalidInput``."""
    url = urlsplit(asked.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise InvalidInput(
            Text(f"{asked.url!r} is not the address of a server.", f"{asked.url!r} 不是服务器地址。"),
            Text("Write it as https://host or http://host:port.", "请写成 https://主机 或 http://主机:端口。"),
        )
    if asked.engine not in ENGINES:
        raise InvalidInput(
            Text(f"There is no engine {asked.engine!r}.", f"没有名为 {asked.engine!r} 的执行引擎。"),
            Text(f"Choose one of {', '.join(ENGINES)}.", f"可选：{'、'.join(ENGINES)}。"),
        )
    engine = _engine_options(asked)
    try:
        return AgentConfig.model_validate({
            "data_dir": asked.folder, "server_url": asked.url.rstrip("/"), "ca_file": asked.ca_file, "engine": engine,
            "link_networks": asked.link_networks, "probe": {"enabled": asked.measure},
        })  # fmt: skip
    except ValidationError as error:
        raise InvalidInput(
            Text("The agent cannot be set up with these options.", "无法用这些选项配置代理。"),
            Text("Correct what is named below.", "请修改下列内容。"),
            problems=[FieldProblem(".".join(map(str, e["loc"])), Text(e["msg"], e["msg"])) for e in error.errors()],
        ) from error


def _engine_options(asked: Asked) -> dict[str, Any]:
    """The file's content with what the command line adds; the local engine shows this installation to jobs."""
    options = engine_options_of(asked)
    if asked.engine != "local":
        options["kind"] = asked.engine
    else:
        options.setdefault("runtime_prefixes", runtime_prefixes())
    return options


def engine_options_of(asked: Asked) -> dict[str, Any]:
    """As written, with what the command line adds. Raises ``InvalidInput``."""
    options: dict[str, Any] = {}
    if asked.engine_options is not None:
        try:
            found = yaml.safe_load(asked.engine_options.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise _unreadable(asked.engine_options, str(error)) from error
        if not isinstance(found, dict):
            raise _unreadable(asked.engine_options, "it is not a list of names and values")
        options = found
    if asked.allow_unisolated:
        options["allow_unisolated"] = True
    return options


def _unreadable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        Text(f"The engine options {path} cannot be read: {why}.", f"无法读取引擎选项文件 {path}：{why}。"),
        Text("Give a YAML or JSON file with the engine's options.", "请提供包含引擎选项的 YAML 或 JSON 文件。"),
    )
