"""Real threads on a real PostgreSQL, each with a server's own connections and ids; and crashes at every statement."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from ledger_world import DU, YUAN, World, book, call, windows_of
from sqlalchemy import text

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.base.errors import PaymentRequired
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.money import Money
from zhisuan.ledger import service as ledger
from zhisuan.testing.database import START

HOUR = timedelta(hours=1)


class Crash(Exception):
    """Stands for the process dying at this point."""


@contextmanager
def servers(world: World, clock: ManualClock, count: int) -> Iterator[list[Database]]:
    made = [
        Database(world.database.url, clock, TimeOrderedIds(clock, random.Random(100 + n).getrandbits), pool_size=2)
        for n in range(count)
    ]
    try:
        yield made
    finally:
        for database in made:
            database.close()


def run_together(jobs: list[Callable[[], None]]) -> None:
    """Run all jobs at once; the first failure of any is raised."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(jobs))

    def work(job: Callable[[], None]) -> None:
        try:
            barrier.wait(timeout=30)
            job()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_concurrent_spending_never_goes_below_zero(world: World, clock: ManualClock) -> None:
    """Six servers try to buy ten packs each with money for eleven."""
    org_id = world.tenant(yuan="800")
    bought = itertools.count()

    def buyer(database: Database) -> Callable[[], None]:
        def work() -> None:
            for _ in range(10):
                try:
                    with database.begin("buyer") as tx:
                        ledger.buy_pack(tx, org_id, "pack-10", 1, "someone")
                except PaymentRequired:
                    continue
                next(bought)

        return work

    with servers(world, clock, 6) as made:
        run_together([buyer(database) for database in made])
    assert next(bought) == 11
    assert world.wallet(org_id) == 30 * YUAN
    world.check_books()


def test_a_payment_that_arrives_at_all_servers_at_once_is_booked_once(world: World, clock: ManualClock) -> None:
    org_id = world.tenant()

    def payer(database: Database) -> Callable[[], None]:
        def work() -> None:
            with database.begin("payer") as tx:
                ledger.top_up(tx, org_id, Money.yuan(7), "bank", "one", "someone")

        return work

    with servers(world, clock, 5) as made:
        run_together([payer(database) for database in made])
    assert world.wallet(org_id) == 7 * YUAN
    world.check_books()


def test_a_free_quota_is_given_once_to_many_openings(world: World, clock: ManualClock) -> None:
    org_id = world.tenant()
    world.publish(book(free_udu=DU))

    def opener(database: Database) -> Callable[[], None]:
        def work() -> None:
            with database.begin("opener") as tx:
                ledger.open_account(tx, org_id)

        return work

    with servers(world, clock, 5) as made:
        run_together([opener(database) for database in made])
    with world.tx() as tx:
        assert ledger.funds(tx.session, org_id, tx.now).granted_udu == DU
    world.check_books()


def test_several_raters_charge_each_event_once(world: World, clock: ManualClock) -> None:
    """Four raters with small batches over five tenants, some of whose transactions break off at the end."""
    world.publish(book(free_udu=200_000, free_days=30))
    tenants = [world.tenant(yuan="3") for _ in range(5)]
    leases = [world.lease(org_id) for org_id in tenants for _ in range(2)]
    clock.advance(3 * HOUR)
    for lease in leases:
        world.accept(windows_of(lease, START, 7000))
    for org_id, lease in zip(tenants, leases[::2], strict=True):
        world.accept_tokens([call(f"{org_id}.{n}", org_id, lease, START, output=3) for n in range(50)])

    def rater(database: Database, rng: random.Random) -> Callable[[], None]:
        def work() -> None:
            idle = 0
            after = ""
            while idle < 3:
                try:
                    with database.begin("rater") as tx:
                        result = ledger.rate_pending(tx, 40, after=after)
                        if rng.random() < 0.3:
                            raise Crash
                except Crash:
                    continue
                after = result.after
                idle = idle + 1 if not result.charges and not result.busy else 0

        return work

    with servers(world, clock, 4) as made:
        run_together([rater(database, random.Random(n)) for n, database in enumerate(made)])
    assert world.rate() == 0
    for org_id in tenants:
        charges = world.charges(org_id)
        assert len({(c.source, c.event_id) for c in charges}) == len(charges) == 2 * 117 + 50
        assert sum(c.quantity_udu for c in charges) == 2 * (DU * 7000 // 3600)
        assert world.bill(org_id) == 18 * (2 * (DU * 7000 // 3600) - 200_000)
    world.check_books()


def test_everything_at_once_keeps_the_books(world: World, clock: ManualClock) -> None:
    """Top-ups, packs, rating, credits, invoices and expiry of two tenants on five servers."""
    world.publish(book(free_udu=100_000, free_days=1, packs=[("small", 50_000, 350_000, 1)]))
    tenants = [world.tenant(yuan="2") for _ in range(2)]
    leases = {org_id: [world.lease(org_id) for _ in range(3)] for org_id in tenants}
    clock.advance(timedelta(days=5))
    for org_leases in leases.values():
        for lease in org_leases:
            world.accept(windows_of(lease, START, 5400))

    def worker(database: Database, number: int) -> Callable[[], None]:
        rng = random.Random(number)

        def one() -> None:
            org_id = rng.choice(tenants)
            with database.begin("worker") as tx:
                match rng.randrange(6):
                    case 0:
                        ledger.top_up(tx, org_id, Money(rng.randint(1, 10**6)), "bank", f"{number}.{rng.random()}", "x")
                    case 1:
                        ledger.buy_pack(tx, org_id, "small", rng.randint(1, 3), "x")
                    case 2:
                        ledger.credit_lease(tx, rng.choice(leases[org_id]), "fault", "x")
                    case 3:
                        ledger.issue_invoice(tx, org_id, tx.now)
                    case 4:
                        ledger.close_expired_grants(tx)
                    case _:
                        ledger.rate_pending(tx, rng.randint(1, 60))

        def work() -> None:
            for _ in range(40):
                try:
                    one()
                except PaymentRequired:
                    continue

        return work

    with servers(world, clock, 5) as made:
        run_together([worker(database, n) for n, database in enumerate(made)])
    world.rate()
    world.check_books()
    with world.tx() as tx:
        for row in ledger.trial_balance(tx.session).rows:
            if row.account.startswith("arrears:"):
                assert row.amount <= 0


@contextmanager
def crash_at(monkeypatch: pytest.MonkeyPatch, statement: int) -> Iterator[list[int]]:
    """Raise ``Crash`` when the given statement (or row of a COPY) would be sent; counts them."""
    count = [0]

    def guarded(name: str, owner: type) -> None:
        original = getattr(owner, name)

        def send(*args: object, **kwargs: object) -> object:
            count[0] += 1
            if count[0] == statement:
                raise Crash
            return original(*args, **kwargs)

        patch.setattr(owner, name, send)

    with monkeypatch.context() as patch:
        guarded("execute", psycopg.Cursor)
        guarded("executemany", psycopg.Cursor)
        guarded("write_row", psycopg.Copy)
        guarded("commit", psycopg.Connection)
        yield count


def test_a_rater_that_dies_at_any_statement_leaves_nothing(
    world: World, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publish(book(free_udu=5_000, free_days=30, output_udu_per_million=1_000_000))
    org_id = world.tenant(yuan="80")
    world.buy(org_id)
    lease = world.lease(org_id, fault="platform")
    clock.advance(HOUR)
    world.accept(windows_of(lease, START, 150))
    world.accept_tokens([call("t", org_id, lease, START, output=50_000)])

    def state() -> tuple[object, ...]:
        with world.tx() as tx:
            counted = tx.session.execute(
                text(
                    "SELECT (SELECT count(*) FROM ledger_charge), (SELECT count(*) FROM ledger_slice),"
                    " (SELECT count(*) FROM usage_window WHERE rated), (SELECT count(*) FROM usage_token_event WHERE rated),"
                    " (SELECT count(*) FROM ledger_transaction), (SELECT count(*) FROM ledger_rated_total)"
                )
            ).one()
            return (*counted, ledger.trial_balance(tx.session))

    before = state()
    for statement in itertools.count(1):
        with crash_at(monkeypatch, statement) as sent:
            try:
                with world.database.begin("rater") as tx:
                    result = ledger.rate_pending(tx)
            except Crash:
                result = None
        if result is not None:
            break
        assert state() == before, f"statement {statement} left something behind"
    assert sent[0] == statement - 1 > 40
    assert (result.charges, result.credited) == (4, 4)
    assert world.rate() == 0 and world.bill(org_id) == 0 and world.wallet(org_id) == 10 * YUAN
    world.check_books()
