"""Work from the table of a city, strictly; and from a job trace, whose bad rows are counted and left out."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from zhisuan.placement.types import Need
from zhisuan.simulation.city.table import Row, once
from zhisuan.simulation.city.types import Job
from zhisuan.simulation.rows import BadRow, Skips, read_csv, whole

JOB_COLUMNS = ("job", "org", "at_s", "seconds", "nodes", "cpus", "memory_gib", "accelerators", "spot", "within_ms")
TRACE_COLUMNS = ("timestamp", "duration", "num_gpus", "cluster")
_CARDS = re.compile(r"([A-Za-z0-9][A-Za-z0-9 ._-]*):([1-9][0-9]?)")
SECONDS_MAX = 10**9


def read_jobs(rows: Sequence[Row], homes: dict[str, str]) -> tuple[Job, ...]:
    once(rows, ("job",))
    jobs = [_job(row, homes) for row in rows]
    return in_order(jobs)


def in_order(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """By time; of one moment, as they stand."""
    return tuple(sorted(jobs, key=lambda job: job.at))


def _job(row: Row, homes: dict[str, str]) -> Job:
    org, spot, near = row.text("org"), row.cells["spot"].strip(), row.optional("within_ms")
    if org and org not in homes:
        row.bad("org", f"{org} is not in orgs.csv", f"{org} 不在 orgs.csv 中")
    if spot not in ("", "yes", "no"):
        row.bad("spot", f"is yes, no or empty, not {spot!r}", f"只能为 yes、no 或留空，不能是 {spot!r}")
    cpus, memory = row.scaled("cpus", 3, 1), row.whole("memory_gib", 1) << 10
    nodes = row.whole("nodes", 1, 10_000)
    needs = tuple(Need(cpus, memory, cards, nodes) for cards in _alternatives(row))
    return Job(
        row.text("job"), org, row.whole("at_s", 0, SECONDS_MAX), row.whole("seconds", 1, SECONDS_MAX), needs, spot == "yes",
        None if near is None else row.scaled("within_ms", 3),
    )  # fmt: skip


def _alternatives(row: Row) -> Iterator[tuple[tuple[str, int], ...]]:
    """``A100:2|H20:4`` is either of two; empty is none."""
    written = row.cells["accelerators"].strip()
    if not written:
        yield ()
        return
    for each in written.split("|"):
        found = _CARDS.fullmatch(each.strip())
        if found is None:
            row.bad("accelerators", f"{each.strip()!r} is not NAME:CARDS", f"{each.strip()!r} 不是“型号:卡数”")
        else:
            yield ((found[1], int(found[2])),)


@dataclass(frozen=True, slots=True)
class TraceTerms:
    """What a trace that only counts cards is read as: cards of ``accelerator``, at most ``cards_a_node`` on a node (more are a
    gang), with so many cores and so much memory for each card. ``limit``: only the first jobs."""

    accelerator: str
    cards_a_node: int = 8
    cpus_milli_a_card: int = 8000
    memory_mib_a_card: int = 65_536
    limit: int | None = None


def read_trace(path: Path, terms: TraceTerms, skips: Skips) -> tuple[Job, ...]:
    """Jobs of a trace with the columns of TRACE_COLUMNS; the first begins at 0. A row whose cards do not fill whole nodes is left
    out, as is one without cards or duration."""

    def make(row: dict[str, str]) -> tuple[int, str, int, int]:
        duration, cards = _duration(row["duration"].strip()), whole(row, "num_gpus", 1)
        if cards > terms.cards_a_node and cards % terms.cards_a_node:
            raise BadRow(
                f"num_gpus is {cards}, no multiple of the {terms.cards_a_node} cards of a node",
                f"num_gpus 为 {cards}，不是每节点 {terms.cards_a_node} 卡的整数倍",
            )
        if not row["cluster"].strip():
            raise BadRow("cluster is empty", "cluster 为空")
        return _seconds(row["timestamp"].strip()), row["cluster"].strip(), duration, cards

    found = sorted(read_csv(path, TRACE_COLUMNS, make, skips), key=lambda r: r[0])[: terms.limit]
    begin = found[0][0] if found else 0
    return tuple(_traced(n, at - begin, org, seconds, cards, terms) for n, (at, org, seconds, cards) in enumerate(found, 1))


def _duration(text: str) -> int:
    """Whole seconds, rounded up."""
    found = re.fullmatch(r"([0-9]{1,9})(\.[0-9]{1,9})?", text)
    seconds = int(found[1]) + bool((found[2] or "").strip(".0")) if found else 0
    if seconds < 1:
        raise BadRow(f"duration is no number of seconds above zero: {text!r}", f"duration 不是大于零的秒数：{text!r}")
    return seconds


def _seconds(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadRow(f"timestamp is no time: {text!r}", f"timestamp 不是时间：{text!r}") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _traced(number: int, at: int, org: str, seconds: int, cards: int, terms: TraceTerms) -> Job:
    nodes = max(1, cards // terms.cards_a_node) if cards > terms.cards_a_node else 1
    each = cards // nodes
    need = Need(each * terms.cpus_milli_a_card, each * terms.memory_mib_a_card, ((terms.accelerator, each),), nodes)
    return Job(f"t{number:06}", org, at, seconds, (need,))
