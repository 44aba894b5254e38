"""The journal and the way of usage to the server, with a crash between any two steps.

A crash is a copy of the journal's files as they are at that moment, opened anew: what kill -9 leaves behind.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Coroutine
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.errors import Unavailable
from zhisuan.gateway.calls import Call
from zhisuan.gateway.control import MessageRefused, ServerUnavailable
from zhisuan.gateway.journal import Journal, JournalError, State
from zhisuan.gateway.metering import Meter
from zhisuan.gateway.requests import ModelRequest
from zhisuan.gateway.routes import Choice
from zhisuan.gateway.shipping import Shipper
from zhisuan.wire.common import Accepted
from zhisuan.wire.gateway import KeyAnswer, Replica, Route, TokenUsage, TokenUsageBatch

AT = datetime(2026, 11, 1, tzinfo=UTC)
KEY = KeyAnswer(valid=True, key_id="key_1", org_id="org_a")
REPLICA = Replica(lease_id="lea_1", generation=1, site_id="s1", ready=True)
ROUTE = Route(
    deployment_id="dep_1", org_id="org_a", model="m", upstream_model="u", version="1", created=AT, replicas=(REPLICA,)
)
crash_numbers = count()


def usage(ident: str, output_tokens: int = 1) -> TokenUsage:
    return TokenUsage(id=ident, at=AT, org_id="org_a", project_id=None, key_id="key_1", deployment_id="dep_1",
                      lease_id="lea_1", model="m", input_tokens=1, output_tokens=output_tokens, duration_ms=1)  # fmt: skip


class Server:
    """Takes usage as the real one does: by id, a repetition changes nothing."""

    def __init__(self) -> None:
        self.kept: dict[str, TokenUsage] = {}
        self.batches: list[int] = []
        self.away = False
        self.lose_answer = False
        self.refuses: set[str] = set()
        self.chokes_on: set[str] = set()

    async def usage(self, batch: TokenUsageBatch) -> Accepted:
        if self.away:
            raise ServerUnavailable("away")
        if self.chokes_on & {event.id for event in batch.events}:
            raise MessageRefused("422")
        self.batches.append(len(batch.events))
        for event in batch.events:
            if event.id not in self.refuses:
                assert self.kept.setdefault(event.id, event) == event
        if self.lose_answer:
            raise ServerUnavailable("the answer is lost")
        return Accepted(accepted=len(batch.events), refused=tuple(self.refuses))


def shipper(journal: Journal, server: Server, batch_max: int = 100) -> Shipper:
    return Shipper(
        journal, server, "gw", asyncio.Event(), interval_seconds=0.0, batch_max=batch_max, random=lambda: 0.0
    )  # type: ignore[arg-type]


def crashed(path: Path) -> Path:
    """What is on the disk now, as another process would find it after this one was killed."""
    copy = path.with_name(f"crash{next(crash_numbers)}.db")
    for ending in ("", "-wal"):
        if Path(f"{path}{ending}").exists():
            shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
    return copy


async def after_crash(path: Path) -> tuple[list[TokenUsage], int]:
    """What a gateway that starts on a crashed journal will ship, and how many calls it found cut off."""
    journal = Journal(crashed(path))
    cut_off = await journal.start()
    try:
        return await journal.pending(1_000), cut_off
    finally:
        await journal.close()


def run(act: Coroutine[Any, Any, None]) -> None:
    asyncio.run(act)


def test_what_was_recorded_survives_a_crash_at_once(tmp_path: Path) -> None:
    async def act() -> None:
        path = tmp_path / "deep" / "usage.db"
        journal = Journal(path)
        await journal.start()
        await asyncio.gather(*(journal.record(usage(f"u{n:03}", n)) for n in range(100)))
        assert await after_crash(path) == ([usage(f"u{n:03}", n) for n in range(100)], 0)
        await journal.close()

    run(act())


def test_a_running_call_survives_as_its_last_checkpoint(tmp_path: Path) -> None:
    async def act() -> None:
        path = tmp_path / "usage.db"
        journal = Journal(path)
        await journal.start()
        await journal.checkpoint([usage("a", 1), usage("b", 1)])
        await journal.checkpoint([usage("a", 7)])
        assert await journal.pending(10) == [], "a running call is not shipped"
        assert await after_crash(path) == ([usage("a", 7), usage("b", 1)], 2)
        await journal.record(usage("a", 9))
        late = journal.checkpoint([usage("a", 8)])
        await late
        assert await journal.pending(10) == [usage("a", 9)], "an end is never undone by a late checkpoint"
        await journal.close()

    run(act())


def test_only_shippable_rows_are_forgotten(tmp_path: Path) -> None:
    async def act() -> None:
        journal = Journal(tmp_path / "usage.db")
        await journal.start()
        await journal.record(usage("a"))
        await journal.checkpoint([usage("b")])
        await journal.forget(["a", "b", "c"])
        assert (await journal.count(State.open), await journal.count(State.final)) == (1, 0)
        await journal.close()

    run(act())


def test_a_second_gateway_cannot_open_the_journal(tmp_path: Path) -> None:
    async def act() -> None:
        journal = Journal(tmp_path / "usage.db")
        await journal.start()
        with pytest.raises(Unavailable) as error:
            await Journal(tmp_path / "usage.db").start()
        assert error.value.code == "journal_unusable"
        await journal.close()
        again = Journal(tmp_path / "usage.db")
        await again.start()
        await again.close()

    run(act())


def test_a_file_that_is_no_journal_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    path.write_bytes(b"this is not a database, and it is long enough to tell" * 100)
    with pytest.raises(Unavailable, match="not a database"):
        asyncio.run(Journal(path).start())


async def fill(meter: Meter) -> None:
    for number in range(1_000):
        await meter.finish(running_call(f"u{number:03}", meter), "completed")


def test_a_journal_that_cannot_be_written_says_so_and_recovers(tmp_path: Path) -> None:
    async def act() -> None:
        journal = Journal(tmp_path / "usage.db")
        await journal.start()
        meter = Meter(journal, checkpoint_seconds=0.01)
        await journal._do(lambda connection: connection.execute("PRAGMA max_page_count = 2").fetchone())
        with pytest.raises(JournalError, match="full"):
            await fill(meter)
        assert not meter.healthy
        retrying = asyncio.create_task(meter.run())
        await journal._do(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
        async with asyncio.timeout(5):
            while not meter.healthy:
                await asyncio.sleep(0.001)
        kept = [u.id for u in await journal.pending(1_000)]
        assert kept == [f"u{number:03}" for number in range(len(kept))]
        assert len(kept) == meter.totals.calls["completed"]
        retrying.cancel()
        await asyncio.gather(retrying, return_exceptions=True)
        await journal.close()
        with pytest.raises(JournalError, match="closed"):
            await journal.record(usage("b"))

    run(act())


def test_one_bad_write_does_not_spoil_its_group(tmp_path: Path) -> None:
    async def act() -> None:
        journal = Journal(tmp_path / "usage.db")
        await journal.start()
        slow = journal._do(lambda connection: connection.execute("SELECT 1").fetchone())
        good = [journal.record(usage(f"u{n}")) for n in range(3)]
        bad = journal._do(lambda connection: connection.execute("SELECT * FROM absent"))
        more = journal.record(usage("u9"))
        results = await asyncio.gather(slow, *good, bad, more, return_exceptions=True)
        assert [isinstance(result, JournalError) for result in results] == [False] * 4 + [True, False]
        assert len(await journal.pending(10)) == 4
        await journal.close()

    run(act())


@given(steps=st.lists(st.sampled_from(["use", "ship", "lose the answer", "away", "crash"]), max_size=25))
def test_whatever_happens_in_whatever_order_every_use_arrives_once(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def act() -> None:
        folder = tmp_path_factory.mktemp("journal")
        path = folder / "usage.db"
        server, used = Server(), {}
        journal = Journal(path)
        await journal.start()
        for number, step in enumerate(steps):
            if step == "use":
                used[f"u{number:03}"] = usage(f"u{number:03}", number)
                await journal.record(used[f"u{number:03}"])
            elif step == "crash":
                path = crashed(path)
                await journal.close()
                journal = Journal(path)
                await journal.start()
            else:
                server.away, server.lose_answer = step == "away", step == "lose the answer"
                try:
                    await shipper(journal, server, batch_max=2).ship_once()
                except ServerUnavailable:
                    assert step != "ship"
        server.away = server.lose_answer = False
        while await shipper(journal, server).ship_once():
            pass
        assert server.kept == used
        assert await journal.count(State.final) == 0
        await journal.close()

    run(act())


def test_a_crash_between_acceptance_and_deletion_repeats_the_same_rows(tmp_path: Path) -> None:
    async def act() -> None:
        path = tmp_path / "usage.db"
        journal, server = Journal(path), Server()
        await journal.start()
        await journal.record(usage("a"))
        server.lose_answer = True
        with pytest.raises(ServerUnavailable):
            await shipper(journal, server).ship_once()
        server.lose_answer = False
        second = Journal(crashed(path))
        await second.start()
        assert await shipper(second, server).ship_once()
        assert (server.batches, list(server.kept)) == ([1, 1], ["a"])
        await second.close()
        await journal.close()

    run(act())


def test_a_row_that_the_server_cannot_take_is_set_aside_and_the_others_pass(tmp_path: Path) -> None:
    async def act() -> None:
        path = tmp_path / "usage.db"
        journal, server = Journal(path), Server()
        await journal.start()
        for number in range(20):
            await journal.record(usage(f"u{number:02}"))
        server.chokes_on = {"u13"}
        server.refuses = {"u05"}
        sender = shipper(journal, server)
        while await sender.ship_once():
            pass
        assert set(server.kept) == {f"u{n:02}" for n in range(20)} - {"u13", "u05"}
        assert (await journal.count(State.refused), await journal.count(State.final)) == (2, 0)
        assert sender.shipped == 18
        await journal.close()
        with sqlite3.connect(path) as kept:
            assert kept.execute("SELECT id FROM usage ORDER BY id").fetchall() == [("u05",), ("u13",)]
        kept.close()

    run(act())


def test_shipping_goes_on_by_itself_and_delivers_the_last_at_the_end(tmp_path: Path) -> None:
    async def act() -> None:
        journal, server = Journal(tmp_path / "usage.db"), Server()
        await journal.start()
        meter = Meter(journal, checkpoint_seconds=60)
        sender = Shipper(journal, server, "gw", meter.written, interval_seconds=0.0, batch_max=10, random=lambda: 0.0)  # type: ignore[arg-type]
        task = asyncio.create_task(sender.run())
        for ident in ("a", "b"):
            await meter.finish(running_call(ident, meter), "completed")
            async with asyncio.timeout(5):
                while ident not in server.kept:
                    await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        meter.finish_aside(running_call("c", meter), "upstream_failed")
        await sender.ship_last()
        assert list(server.kept) == ["a", "b", "c"]
        await journal.close()

    run(act())


def running_call(ident: str, meter: Meter, pieces: int = 3) -> Call:
    request = ModelRequest(
        "/v1/chat/completions", "m", True, False, {"messages": [{"role": "user", "content": "x" * 6}]}
    )
    call = Call(ident, AT, asyncio.get_running_loop().time(), KEY, request)
    meter.begin(call)
    call.begin_attempt(Choice(ROUTE, REPLICA))
    call.delivered(pieces, asyncio.get_running_loop().time())
    return call


def test_a_call_is_finished_once_and_checkpointed_while_it_runs(tmp_path: Path) -> None:
    async def act() -> None:
        path = tmp_path / "usage.db"
        journal = Journal(path)
        await journal.start()
        meter = Meter(journal, checkpoint_seconds=60)
        call = running_call("a", meter)
        await meter._checkpoint()
        ((kept,), cut_off) = await after_crash(path)
        assert (kept.output_tokens, kept.input_tokens, kept.outcome, kept.estimated, cut_off) == (
            3,
            3,
            "upstream_failed",
            True,
            1,
        )
        await meter.finish(call, "client_closed")
        await meter.finish(call, "completed")
        await meter._checkpoint()
        (final,) = await journal.pending(10)
        assert (final.outcome, meter.running) == ("client_closed", 0)
        assert meter.totals.calls == {"completed": 0, "client_closed": 1, "upstream_failed": 0}
        await journal.close()

    run(act())


def test_a_call_that_failed_before_its_first_piece_used_nothing(tmp_path: Path) -> None:
    async def act() -> None:
        journal = Journal(tmp_path / "usage.db")
        await journal.start()
        meter = Meter(journal, checkpoint_seconds=60)
        for ident, outcome in (("a", "upstream_failed"), ("b", "client_closed")):
            await meter.finish(running_call(ident, meter, pieces=0), outcome)  # type: ignore[arg-type]
        failed, left = await journal.pending(10)
        assert (failed.input_tokens, failed.output_tokens, failed.first_token_ms) == (0, 0, None)
        assert (left.input_tokens, left.output_tokens, left.estimated) == (3, 0, True)
        await journal.close()

    run(act())
