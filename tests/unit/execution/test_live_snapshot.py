"""The shared snapshot is what reading everything anew would give, whatever changes, in whatever order transactions end."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from execution_world import CLASSES, new_workload, node, open_site, place_one, plan_for, provider, spec
from sqlalchemy import select, text, update

from zhisuan.base import secrets
from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database, QueryCount, Tx
from zhisuan.execution.live import LiveSnapshot
from zhisuan.execution.placing import place
from zhisuan.execution.snapshot import take_snapshot
from zhisuan.placement.types import Snapshot
from zhisuan.supply import changes
from zhisuan.supply import inventory as supply_inventory
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Device, Node, RateFactor, Site
from zhisuan.workload.tables import Workload

TTL = timedelta(seconds=45)
SELLING = {"classes": CLASSES, "price_e8_per_du": 400_000_000, "cpu_with_accelerator_free": True, "ttl": TTL}


def fresh(tx: Tx) -> Snapshot:
    return take_snapshot(tx, **SELLING)  # type: ignore[arg-type]


def agrees(live: LiveSnapshot, tx: Tx) -> None:
    assert live.take(tx, **SELLING) == fresh(tx)  # type: ignore[arg-type]


class World:
    """A few sites, and things that happen to them, drawn from one seed."""

    def __init__(self, database: Database, rng: random.Random) -> None:
        self.database, self.rng = database, rng
        assert isinstance(database.clock, ManualClock)
        self.clock = database.clock
        self.provider_id = provider(database)
        for n in range(3):
            open_site(database, self.provider_id, [node(f"h{n}{m}", cards=m) for m in range(2)])

    def pick(self, tx: Tx, column: object) -> str:
        return str(self.rng.choice(sorted(tx.session.scalars(select(column)).all())))  # type: ignore[call-overload]

    def device(self, tx: Tx) -> None:
        values = self.rng.choice(({"allocated": self.rng.randrange(500)}, {"health": "failed"}, {"health": "ok"}, {"present": False}, {"present": True}, {"class_id": "cpu-core"}))
        tx.session.execute(update(Device).where(Device.id == self.pick(tx, Device.id)).values(values))

    def node(self, tx: Tx) -> None:
        tx.session.execute(update(Node).where(Node.id == self.pick(tx, Node.id)).values(present=self.rng.random() < 0.5))

    def inventory(self, tx: Tx) -> None:
        site = tx.session.get_one(Site, self.pick(tx, Site.id))
        supply.take_inventory(tx, site, supply_engine(self.rng), [node(f"x{self.rng.randrange(4)}", cards=self.rng.randrange(3))])

    def invited(self, tx: Tx) -> None:
        made = supply.create_site(tx, provider_id=self.provider_id, name=tx.ids.new("site"), region="CN-NX", pue_milli=1100)
        if self.rng.random() < 0.7:
            site = supply.join(tx, made.token, secrets.digest(tx.ids.secret("zsc")))
            supply.take_inventory(tx, site, supply_engine(self.rng), [node("n", cards=2)])

    def state(self, tx: Tx) -> None:
        site = tx.session.get_one(Site, self.pick(tx, Site.id))
        for action, (allowed, _) in self.rng.sample(sorted(supply.TRANSITIONS.items()), len(supply.TRANSITIONS)):
            if site.state in allowed and not (action == "close" and self.rng.random() < 0.7):
                supply.change_state(tx, site, action)
                return

    def recall(self, tx: Tx) -> None:
        site = tx.session.get_one(Site, self.pick(tx, Site.id))
        if supply.live_recall(tx, site.id) is not None:
            supply.offer_again(tx, site)
        elif site.state in ("open", "draining"):
            notice = timedelta(seconds=self.rng.randrange(90))
            until = tx.now + notice + timedelta(seconds=self.rng.randrange(1, 200)) if self.rng.random() < 0.5 else None
            supply.take_back(tx, site, supply.TakeBack(notice=notice, until=until))

    def windows(self, tx: Tx) -> None:
        site = tx.session.get_one(Site, self.pick(tx, Site.id))
        now = tx.now + timedelta(hours=8)
        week = [{"days": None, "from": f"{now:%H:%M}", "to": f"{now + timedelta(minutes=2):%H:%M}"}]
        supply.set_windows(tx, site, supply.parsed_windows("Asia/Shanghai", week if self.rng.random() < 0.7 else []))

    def factor(self, tx: Tx) -> None:
        tx.session.add(RateFactor(
            id=tx.ids.new("rtf"), site_id=self.pick(tx, Site.id), class_id="nvidia-a100-sxm4-80g",
            factor_ppm=self.rng.choice((1_000_000, 900_000, 800_000)), measured_tflops_milli=None,
            published_rate_udu_per_hour=1, reason="", set_at=tx.now, set_by="t",
        ))  # fmt: skip

    def heard(self, tx: Tx) -> None:
        site = tx.session.get_one(Site, self.pick(tx, Site.id))
        there = tx.now + timedelta(seconds=self.rng.choice((0, 0, 30)))
        supply.heard_from(tx, site, agent_boot="b", agent_time=there, every=timedelta(seconds=5))

    def placed(self, tx: Tx) -> None:
        workload = tx.session.get_one(Workload, new_workload(tx, spec(cards=self.rng.randrange(2))).id)
        place(tx, workload, plan_for(tx, spec()))

    def anything(self) -> Callable[[Tx], None]:
        return self.rng.choice((
            self.device, self.device, self.node, self.inventory, self.invited, self.state, self.recall, self.windows, self.factor,
            self.heard, self.heard, self.placed,
        ))  # fmt: skip


def supply_engine(rng: random.Random) -> supply_inventory.EngineRecord:
    return supply_inventory.EngineRecord("local", "1", rng.choice(("sandbox", "none")), False, {}, (), rng.randrange(1, 4))


@contextmanager
def left_open(database: Database, rng: random.Random, work: Callable[[Tx], None]) -> Iterator[None]:
    """A transaction that has done its work and ends, one way or the other, only when the block does."""
    with ExitStack() as stack:
        tx = stack.enter_context(database.begin())
        tx.session.execute(text("SET LOCAL lock_timeout = '50ms'"))
        work(tx)
        tx.session.flush()
        yield
        if rng.random() < 0.4:
            tx.session.rollback()


@pytest.mark.parametrize("seed", range(4))
def test_after_any_change_it_is_what_reading_everything_gives(database: Database, seed: int) -> None:
    rng = random.Random(seed)
    world = World(database, rng)
    quick, seldom = LiveSnapshot(), LiveSnapshot()

    def look(lives: tuple[LiveSnapshot, ...]) -> None:
        with database.begin() as tx:
            for live in lives:
                agrees(live, tx)

    def one_change(then: Callable[[Tx], None] = lambda _: None) -> None:
        with database.begin() as tx:
            world.anything()(tx)
            tx.session.flush()
            then(tx)

    for step in range(40):
        kind = rng.randrange(6)
        if kind == 0:  # a change that is not over while others are made and looked at
            with left_open(database, rng, world.device):
                look((quick,))
                with database.begin() as tx:
                    world.heard(tx)
                    world.factor(tx)
                look((quick,))
        elif kind == 1:  # a transaction that looks at what it has changed itself, and may yet be undone
            with database.begin() as tx:
                world.anything()(tx)
                tx.session.flush()
                agrees(quick, tx)
                if rng.random() < 0.5:
                    tx.session.rollback()
        elif kind == 2:
            world.clock.advance(timedelta(seconds=rng.choice((1, 20, 50, 100, 3000))))
        else:
            one_change()
        look((quick, seldom) if step % 7 == 0 else (quick,))
    look((quick, seldom))


def test_a_look_without_news_reads_nothing_but_that(database: Database) -> None:
    site = open_site(database, provider(database), [node("a"), node("b")])
    live = LiveSnapshot()
    for _ in range(2):
        with database.begin() as tx:
            live.take(tx, **SELLING)  # type: ignore[arg-type]
            late = tx.now - timedelta(milliseconds=40)
            supply.heard_from(tx, tx.session.get_one(Site, site), agent_boot="b", agent_time=late, every=timedelta(0))
    with database.begin() as tx, QueryCount(database.engine) as asked:
        first = live.take(tx, **SELLING)  # type: ignore[arg-type]
    assert len(asked.statements) == 1
    with database.begin() as tx:
        tx.session.execute(update(Device).where(Device.kind == "cpu").values(allocated=1))
    with database.begin() as tx, QueryCount(database.engine) as asked:
        agreed = live.take(tx, **SELLING)  # type: ignore[arg-type]
    assert len(asked.statements) == 3, "what changed; those nodes; their devices"
    assert agreed != first


def test_who_has_not_looked_for_long_reads_everything_anew(database: Database) -> None:
    """Changes are forgotten after an hour; the clock that counts is the database's."""
    open_site(database, provider(database), [node("a")])
    live = LiveSnapshot()
    with database.begin() as tx:
        agrees(live, tx)
    with database.begin() as tx:
        tx.session.execute(update(Device).where(Device.kind == "cpu").values(allocated=7))
        tx.session.execute(text("UPDATE supply_change SET at = at - interval '2 hours'"))
        changes.forget_changes(tx)
    assert live._mark is not None
    live._mark = changes.Mark(live._mark.xid, live._mark.at - timedelta(minutes=6))
    with database.begin() as tx:
        agrees(live, tx)


def test_a_look_that_fails_leaves_the_snapshot_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = open_site(database, provider(database), [node("a")])
    live = LiveSnapshot()
    with database.begin() as tx:
        agrees(live, tx)
        tx.session.execute(update(Device).where(Device.kind == "cpu").values(allocated=9))
    with database.begin() as tx, monkeypatch.context() as patch:
        patch.setattr(tx.session, "execute", _failing_after(tx.session.execute, 2))
        with pytest.raises(RuntimeError):
            live.take(tx, **SELLING)  # type: ignore[arg-type]
    with database.begin() as tx:
        agrees(live, tx)
    with database.begin() as tx:
        workload_id = new_workload(tx, spec()).id
    assert place_one(database, workload_id, site) is not None


def _failing_after(run: Callable[..., object], count: int) -> Callable[..., object]:
    calls = iter(range(count))

    def execute(*arguments: object, **named: object) -> object:
        if next(calls, None) is None:
            raise RuntimeError("the connection is gone")
        return run(*arguments, **named)

    return execute
