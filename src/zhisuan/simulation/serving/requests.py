"""Request traces of two shapes, told apart by their first character: Azure's CSV, and Mooncake's lines of JSON with prefix blocks."""

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.simulation.rows import BadRow, Skips, open_text, read_csv, unreadable, whole

BLOCK_TOKENS = 512
AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOONCAKE = ("timestamp", "input_length", "output_length", "hash_ids")
US = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Request:
    """``blocks`` name the prefixes of the input at each 512 tokens; equal names, equal input up to there. Empty: nothing is shared."""

    at_us: int
    input_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """In the order of time from 0, equal times in the order of the file; ``moved`` rows came later in the file than a later one."""

    requests: tuple[Request, ...]
    moved: int = 0


def read_trace(path: Path, skips: Skips) -> Trace:
    """Raises InvalidInput for a file of neither shape, or with no row that can be used."""
    found = list(_lines(path, skips) if _first_character(path) == "{" else read_csv(path, AZURE, _azure, skips))
    if not found:
        raise InvalidInput(
            Text(f"{path} has no request that can be used.", f"{path} 中没有可用的请求。"),
            Text(
                f"Give a CSV with {', '.join(AZURE)}, or lines of JSON with {', '.join(MOONCAKE)}.",
                f"请提供含 {'、'.join(AZURE)} 列的 CSV，或含 {'、'.join(MOONCAKE)} 的 JSON 行文件。",
            ),
            code="trace_empty",
        )
    return in_order(found)


def in_order(requests: Iterable[Request]) -> Trace:
    given = list(requests)
    moved, latest = 0, given[0].at_us
    for one in given:
        moved += one.at_us < latest
        latest = max(latest, one.at_us)
    given.sort(key=lambda one: one.at_us)
    first = given[0].at_us
    return Trace(
        tuple(Request(one.at_us - first, one.input_tokens, one.output_tokens, one.blocks) for one in given), moved
    )


def at_rate(trace: Trace, numerator: int, denominator: int) -> Trace:
    """The same requests, ``numerator / denominator`` times as fast."""
    return Trace(
        tuple(
            Request(one.at_us * denominator // numerator, one.input_tokens, one.output_tokens, one.blocks)
            for one in trace.requests
        ),
        trace.moved,
    )


def _first_character(path: Path) -> str:
    with open_text(path) as file:
        try:
            return file.read(4096).lstrip()[:1]
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise unreadable(path, str(error)) from error


def _azure(row: dict[str, str]) -> Request:
    try:
        at = datetime.fromisoformat(row["TIMESTAMP"].strip())
    except ValueError:
        text = row["TIMESTAMP"]
        raise BadRow(f"TIMESTAMP is not a time: {text!r}", f"TIMESTAMP 不是时间：{text!r}") from None
    at_us = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return Request(at_us // US, whole(row, "ContextTokens", 1), whole(row, "GeneratedTokens"))


def _lines(path: Path, skips: Skips) -> list[Request]:
    found: list[Request] = []
    with open_text(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    found.append(_mooncake(line))
                except BadRow as bad:
                    skips.add(path.name, number, bad.reason)
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise unreadable(path, str(error)) from error
    return found


def _mooncake(line: str) -> Request:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise BadRow("it is not JSON", "不是 JSON") from None
    if not isinstance(row, dict):
        raise BadRow("it is not a JSON object", "不是 JSON 对象")
    at, read, written = (_number(row, name, least) for name, least in zip(MOONCAKE, (0, 1, 0), strict=False))
    blocks = row.get("hash_ids")
    if not isinstance(blocks, list) or any(type(one) is not int for one in blocks):
        raise BadRow("hash_ids is not a list of whole numbers", "hash_ids 不是整数列表")
    if len(blocks) > -(-read // BLOCK_TOKENS):
        raise BadRow(
            f"{len(blocks)} blocks are more than {read} tokens fill", f"{len(blocks)} 个块超出 {read} 个 token 的范围"
        )
    return Request(at * 1000, read, written, tuple(blocks))


def _number(row: dict[str, Any], name: str, least: int) -> int:
    value = row.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise BadRow(f"{name} is not a whole number: {value!r}", f"{name} 不是整数：{value!r}")
    if value < least:
        raise BadRow(f"{name} is {value}, less than {least}", f"{name} 为 {value}，小于 {least}")
    return value
