"""``zhisuan simulate serve``: requests to models, replayed over modelled replicas."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from zhisuan.app.simulate.serve_shown import calls_csv, looks_csv, picture, show_table
from zhisuan.app.simulate.shown import progress, put_json, show_skips, write_file
from zhisuan.base.money import Money
from zhisuan.cli.errors import usage_error
from zhisuan.cli.text import arg, opt
from zhisuan.gateway.routing.catalogue import POLICIES
from zhisuan.placement.scaling import Bounds
from zhisuan.simulation.rows import Skips
from zhisuan.simulation.serving.comparison import Row, compared, report
from zhisuan.simulation.serving.counted import Price
from zhisuan.simulation.serving.made import SHAPES, made_trace
from zhisuan.simulation.serving.options import SCALINGS, Targets
from zhisuan.simulation.serving.replay import Setting
from zhisuan.simulation.serving.replica import Speed
from zhisuan.simulation.serving.requests import Trace, at_rate, read_trace

SECOND_US = 1_000_000
SPEED, TARGETS = Speed(), Targets()
PICTURES = ("svg", "png", "pdf")
MOST = 10_000
ROUTINGS = ", ".join(POLICIES)
RULES = ", ".join(SCALINGS)
MADE = ", ".join(SHAPES)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the results go."""

    as_json: bool
    plot: Path | None
    out: Path | None


def serve(
    trace: Annotated[Path | None, arg("A trace: Azure's CSV or Mooncake's lines of JSON, .gz or not.", "轨迹文件：Azure CSV 或 Mooncake JSON 行，可为 .gz。", metavar="TRACE")] = None,
    made: Annotated[str | None, opt("--made", metavar="SHAPE", en=f"Make a trace in place of a file: {MADE}.", zh=f"合成轨迹，代替文件：{MADE}。")] = None,
    requests: Annotated[int, opt("--requests", metavar="N", min=1, max=10_000_000, en="Requests of a made trace, in about an hour.", zh="合成轨迹的请求数（约一小时）。")] = 8_000,
    routing: Annotated[list[str] | None, opt("--routing", metavar="POLICY", en=f"One of {ROUTINGS}; can be given many times. Default: round-robin and zhisuan.", zh=f"路由策略：{ROUTINGS}；可多次使用，默认 round-robin 与 zhisuan。")] = None,
    scaling: Annotated[list[str] | None, opt("--scaling", metavar="RULE", en=f"One of {RULES}; can be given many times. Default: fixed.", zh=f"伸缩规则：{RULES}；可多次使用，默认 fixed。")] = None,
    replicas: Annotated[int, opt("--replicas", metavar="N", min=0, max=MOST, en="Replicas at the start; with 'fixed', all the time.", zh="初始副本数；fixed 时始终不变。")] = 8,
    rate: Annotated[str, opt("--rate", metavar="X", en="Play the trace X times as fast, for example 0.5 or 2.", zh="以 X 倍速回放，例如 0.5 或 2。")] = "1",
    seed: Annotated[int, opt("--seed", metavar="S", min=0, en="For made traces and policies that draw at random.", zh="用于合成轨迹与随机策略。")] = 0,
    least: Annotated[int, opt("--least", metavar="N", min=0, en="Never fewer replicas; 0 lets a service go to zero.", zh="副本下限；0 表示可缩至零。")] = 1,
    most: Annotated[int, opt("--most", metavar="N", min=1, max=MOST, en="Never more replicas.", zh="副本上限。")] = 64,
    cold_start: Annotated[int, opt("--cold-start", metavar="S", min=0, en="Seconds until a new replica takes calls (paid).", zh="新副本可用前的秒数（计费）。")] = 120,
    calm: Annotated[int, opt("--calm", metavar="S", min=0, en="Fewer replicas only after fewer would do for this long.", zh="持续这么多秒后才减少副本。")] = 300,
    look: Annotated[int, opt("--look", metavar="S", min=1, en="Seconds between looks of the scaling rule.", zh="伸缩规则的检查间隔（秒）。")] = 15,
    concurrency: Annotated[int, opt("--target-concurrency", metavar="N", min=1, en="Calls in flight for each replica.", zh="每副本的目标在途请求数。")] = TARGETS.concurrency,
    waiting: Annotated[int, opt("--target-queue", metavar="N", min=1, en="Waiting calls for each replica.", zh="每副本的目标等待请求数。")] = TARGETS.queue,
    tokens: Annotated[int, opt("--target-tokens", metavar="N", min=1, en="Input tokens a second for each replica.", zh="每副本每秒的目标输入 token 数。")] = TARGETS.tokens_per_s,
    season: Annotated[int, opt("--season", metavar="S", min=0, en="Seconds after which demand repeats, for 'forecast'; 0: none.", zh="forecast 的需求周期（秒）；0 表示无。")] = 0,
    queue_max: Annotated[int, opt("--queue-max", metavar="N", min=0, en="Calls that may wait at a replica; more are refused. 0: no limit.", zh="每副本最多等待数，超出则拒绝；0 不限。")] = 0,
    timeout: Annotated[int, opt("--timeout", metavar="S", min=0, en="Seconds after which a client gives up a call nobody has begun. 0: never.", zh="请求未开始处理时客户端放弃的秒数；0 表示不放弃。")] = 0,
    prefill: Annotated[int, opt("--prefill-rate", metavar="N", min=1, en="Input tokens a replica reads in a second.", zh="副本每秒读取的输入 token 数。")] = 16_000,
    base_us: Annotated[int, opt("--step", metavar="US", min=1, en="Microseconds a step takes at least.", zh="每步最少微秒数。")] = SPEED.base_us,
    decode_us: Annotated[int, opt("--decode", metavar="US", min=0, en="Microseconds more in a step for each call that writes.", zh="每个生成中的请求使一步增加的微秒数。")] = SPEED.decode_us,
    chunk: Annotated[int, opt("--chunk", metavar="N", min=0, en="Input tokens read in one step; 0 reads an input whole.", zh="每步读取的输入 token 数；0 表示整段读取。")] = SPEED.chunk,
    batch: Annotated[int, opt("--batch", metavar="N", min=1, en="Calls that run at once on a replica.", zh="副本同时处理的请求数。")] = SPEED.batch_max,
    blocks: Annotated[int, opt("--cache-blocks", metavar="N", min=1, en="Blocks of 512 tokens in a replica's memory.", zh="副本内存可容纳的 512-token 块数。")] = SPEED.blocks,
    price: Annotated[str, opt("--price", metavar="YUAN", en="Yuan for a replica-hour.", zh="每副本小时价格（元）。")] = "120",
    carbon: Annotated[int, opt("--carbon", metavar="G", min=0, en="Grams of CO2e for a kWh.", zh="每度电的碳排放（克）。")] = 550,
    as_json: Annotated[bool, opt("--json", en="Print one JSON document.", zh="输出一个 JSON 文档。")] = False,
    plot: Annotated[Path | None, opt("--plot", metavar="FILE", en="Draw first tokens, queue and replicas (.svg, .png, .pdf).", zh="绘制首字时延、排队与副本数（.svg、.png、.pdf）。")] = None,
    out: Annotated[Path | None, opt("--out", metavar="DIR", en="Write a CSV of all requests, and one of the looks, for each policy.", zh="为每个策略写出请求与状态的 CSV。")] = None,
) -> None:  # fmt: skip
    """Replay requests to models over modelled replicas: time to first token and cost, by routing and scaling."""
    routings = _named(routing or ["round-robin", "zhisuan"], POLICIES, "--routing")
    scalings = _named(scaling or ["fixed"], SCALINGS, "--scaling")
    if "fixed" in scalings and not replicas:
        raise usage_error("With no replica and fixed scaling nothing would ever be answered.", "副本数为零且固定不变时无法处理任何请求。", "Give --replicas or another --scaling.", "请用 --replicas 或其他 --scaling。")  # fmt: skip
    if least > most:
        raise usage_error(f"--least {least} is more than --most {most}.", f"--least {least} 大于 --most {most}。")
    if plot and plot.suffix.lstrip(".") not in PICTURES:
        raise usage_error(
            f"{plot} is none of {', '.join(PICTURES)}.", f"{plot} 的格式不是 {'、'.join(PICTURES)} 之一。"
        )
    bounds = Bounds(min(least, replicas) if scalings == ["fixed"] else least, max(most, replicas), cold_start * SECOND_US, calm * SECOND_US)  # fmt: skip
    # The power of eight cards of 700 W with their host; an assumption like the speed.
    rates = Price(_yuan(price), idle_w=1_600, busy_w=7_000, carbon_g=carbon)
    speed = Speed(1_000_000_000 // prefill, base_us, decode_us, chunk, batch, blocks)
    setting = Setting(speed, replicas, bounds, look * SECOND_US, queue_max, timeout * SECOND_US, blocks)
    skips = Skips()
    played = _faster(_trace(trace, made, requests, seed, skips), rate)
    with progress("serve", len(routings) * len(scalings), quiet=as_json) as advance:
        rows = compared(played, setting, routings, scalings, Targets(concurrency, waiting, tokens, season // look), rates, seed, advance)  # fmt: skip
    document = {**report(played, setting, rows, seed, trace.name if trace else f"made:{made}"), "rate": rate, "skipped": skips.as_dict()}  # fmt: skip
    _deliver(document, rows, skips, Wanted(as_json, plot, out))


def _deliver(document: dict[str, object], rows: list[Row], skips: Skips, wanted: Wanted) -> None:
    if wanted.out:
        for row in rows:
            write_file(wanted.out / f"requests-{row.routing}-{row.scaling}.csv", calls_csv(row))
            write_file(wanted.out / f"looks-{row.routing}-{row.scaling}.csv", looks_csv(row))
    if wanted.plot:
        write_file(wanted.plot, picture(rows, wanted.plot.suffix.lstrip(".")))
    if wanted.as_json:
        put_json(document)
    else:
        show_skips(skips)
        show_table(document)


def _trace(path: Path | None, made: str | None, requests: int, seed: int, skips: Skips) -> Trace:
    if (path is None) == (made is None):
        raise usage_error("Give either a TRACE or --made SHAPE.", "请给出 TRACE 或 --made SHAPE 之一。")
    return read_trace(path, skips) if path else made_trace(made or "", requests, seed)


def _named(given: list[str], known: Iterable[str], option: str) -> list[str]:
    names = list(known)
    for name in given:
        if name not in names:
            raise usage_error(f"{option} {name!r} is not known.", f"{option} 不支持 {name!r}。", f"Use one of: {', '.join(names)}.", f"可选：{'、'.join(names)}。")  # fmt: skip
    return list(dict.fromkeys(given))


def _faster(trace: Trace, text: str) -> Trace:
    try:
        rate = Fraction(text)
        if rate <= 0:
            raise ValueError(text)
    except (ValueError, ZeroDivisionError):
        raise usage_error(f"--rate is {text!r}; it must be a number above 0.", f"--rate 为 {text!r}，必须是大于 0 的数。") from None  # fmt: skip
    return at_rate(trace, rate.numerator, rate.denominator)


def _yuan(text: str) -> int:
    try:
        if Decimal(text).is_finite() and (money := Money.yuan(text)).ucny >= 0:
            return money.ucny
    except (InvalidOperation, ValueError):
        pass
    raise usage_error(f"--price is {text!r}; it must be yuan, not negative, with at most six places.", f"--price 为 {text!r}；应为非负的元，最多六位小数。")  # fmt: skip
