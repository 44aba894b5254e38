"""Rating against the database: purses in order, tokens, faults, and the same bill whatever the arrival."""

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import DU, SITE, YUAN, World, book, call, window, windows_of
from sqlalchemy import text

from zhisuan.base.clock import ManualClock
from zhisuan.base.money import Money, cost_ucny
from zhisuan.ledger import service as ledger
from zhisuan.testing.database import START
from zhisuan.usage import service as usage
from zhisuan.wire.site import UsageWindow

HOUR = timedelta(hours=1)


def purses_of(world: World, org_id: str) -> dict[str, tuple[int, int, int]]:
    """By purse: 度, value and cash of all slices of the organisation."""
    with world.tx() as tx:
        rows = tx.session.execute(
            text(
                "SELECT s.purse, sum(s.quantity_udu)::bigint, sum(s.value_ucny)::bigint, sum(s.cash_ucny)::bigint"
                " FROM ledger_slice s JOIN ledger_charge c ON c.id = s.charge_id WHERE c.org_id = :o GROUP BY 1"
            ),
            {"o": org_id},
        )
        return {purse: (q, v, c) for purse, q, v, c in rows}


def test_free_quota_then_pack_then_wallet_then_arrears(world: World, clock: ManualClock) -> None:
    """14 card-hours: 1 free, 10 of the pack, 1⅔ from 30 yuan at 18 a 度, the rest owed."""
    world.publish(book(free_udu=DU, free_days=90))
    org_id = world.tenant(yuan="100")
    world.buy(org_id)
    lease = world.lease(org_id)
    clock.advance(20 * HOUR)
    world.accept(windows_of(lease, START + timedelta(seconds=7), 14 * 3600))
    assert world.rate() == 841
    assert purses_of(world, org_id) == {
        "free": (DU, 7_200_000, 0),
        "pack": (10 * DU, 70 * YUAN, 0),
        "wallet": (1_666_666, 29_999_988, 29_999_988),
        "arrears": (1_333_334, 24_000_012, 24_000_012),
    }
    assert world.wallet(org_id) == 12 and world.owed(org_id) == 24_000_012
    with world.tx() as tx:
        amounts = {r.account: r.amount for r in ledger.trial_balance(tx.session).rows}
    assert amounts["clearing"] == 131_200_000 and amounts["promotion"] == -7_200_000
    assert amounts["consumed:du"] == 14 * DU
    world.check_books()


def test_a_charge_says_what_made_it(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="100")
    lease = world.lease(org_id)
    clock.advance(HOUR)
    world.accept(windows_of(lease, START, 60))
    world.rate()
    [charge] = world.charges(org_id)
    assert (charge.kind, charge.source, charge.subject, charge.seconds) == ("time", SITE, lease, 60)
    assert (charge.quantity_udu, charge.cash_ucny, charge.value_ucny) == (16_666, 299_988, 299_988)
    assert (charge.price_book_version, charge.price_e8_per_du, charge.platform_fee_ppm) == (1, 1_800_000_000, 100_000)
    with world.tx() as tx:
        assert ledger.charge_of_event(tx.session, SITE, charge.event_id) is not None
        [part] = ledger.slices_of(tx.session, charge.id)
        assert (part.purse, part.number, part.quantity_udu) == ("wallet", 1, 16_666)
        assert ledger.get_charge(tx.session, charge.id, org_id=org_id).id == charge.id


def test_the_quote_keeps_its_price_when_prices_change(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="1000")
    old = world.lease(org_id)
    world.publish(book(price_e8=3_600_000_000))
    new = world.lease(org_id)
    clock.advance(2 * HOUR)
    for lease in (old, new):
        world.accept(windows_of(lease, START, 3600))
    world.rate()
    by_lease = {lease: sum(c.cash_ucny for c in world.charges(org_id) if c.lease_id == lease) for lease in (old, new)}
    assert by_lease == {old: 18 * YUAN, new: 36 * YUAN}


def test_a_pack_that_expires_inside_a_window_pays_for_its_part(world: World, clock: ManualClock) -> None:
    world.publish(book(packs=[("day", 100 * DU, 700 * YUAN, 1)]))
    clock.advance(timedelta(seconds=20))
    org_id = world.tenant(yuan="1000")
    world.buy(org_id, "day")
    lease = world.lease(org_id)
    clock.advance(timedelta(days=2))
    minute = START + timedelta(days=1)
    world.accept([window(lease, minute, minute + timedelta(minutes=1))])
    world.rate()
    [charge] = world.charges(org_id)
    with world.tx() as tx:
        parts = [(s.purse, s.quantity_udu) for s in ledger.slices_of(tx.session, charge.id)]
    first = DU * (86_400 + 20) // 3600 - DU * 86_400 // 3600
    assert parts == [("pack", first), ("wallet", charge.quantity_udu - first)]
    world.check_books()


def test_tokens_of_a_dedicated_deployment_cost_nothing_by_default(world: World, clock: ManualClock) -> None:
    org_id = world.tenant()
    lease = world.lease(org_id)
    world.accept_tokens([call("t1", org_id, lease, clock.now(), input_tokens=5, output=7)])
    world.rate()
    [charge] = world.charges(org_id)
    assert (charge.kind, charge.subject, charge.tokens, charge.quantity_udu, charge.cash_ucny) == (
        "tokens",
        "dep_1",
        12,
        0,
        0,
    )
    world.check_books()


def test_tokens_with_prices_are_rated_exactly_over_many_small_calls(world: World, clock: ManualClock) -> None:
    """1,000 calls of 3 new, 4 cached and 2 output tokens; failed calls are counted and free."""
    world.publish(book(input_udu_per_million=55_555, cached_udu_per_million=5_555, output_udu_per_million=222_222))
    org_id = world.tenant(yuan="10")
    lease = world.lease(org_id)
    events = [call(f"t{n}", org_id, lease, clock.now(), input_tokens=7, cached=4, output=2) for n in range(1000)]
    failed = [call("f", org_id, lease, clock.now(), input_tokens=10**9, outcome="upstream_failed")]
    for part in (events[:400], failed, events[400:]):
        world.accept_tokens(part)
        world.rate(limit=37)
    charges = world.charges(org_id)
    assert len(charges) == 1001
    quantity = 1000 * (3 * 55_555 + 4 * 5_555 + 2 * 222_222) // 1_000_000
    assert sum(c.quantity_udu for c in charges) == quantity
    assert world.bill(org_id) == cost_ucny(quantity, 1_800_000_000)
    assert [c.quantity_udu for c in charges if c.event_id == "f"] == [0]
    world.check_books()


def test_late_use_of_a_faulted_lease_is_credited_at_once(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="100")
    lease = world.lease(org_id)
    clock.advance(2 * HOUR)
    early, late = windows_of(lease, START, 600), windows_of(lease, START + timedelta(minutes=10), 600)
    world.accept(early)
    world.rate()
    with world.tx() as tx:
        tx.session.execute(text("UPDATE execution_lease SET fault = 'provider' WHERE id = :l"), {"l": lease})
    world.accept(late)
    with world.tx() as tx:
        result = ledger.rate_pending(tx)
    assert (result.charges, result.credited) == (10, 20)
    assert world.wallet(org_id) == 100 * YUAN and world.bill(org_id) == 0
    world.check_books()


def test_one_organisation_that_cannot_be_rated_stops_nobody_else(world: World, clock: ManualClock) -> None:
    bad, good = world.tenant(name="org_a"), world.tenant(name="org_b", yuan="100")
    leases = [world.lease(bad), world.lease(good)]
    clock.advance(HOUR)
    for lease in leases:
        world.accept(windows_of(lease, START, 60))
    with world.tx() as tx:
        tx.session.execute(text("UPDATE execution_lease SET quote_id = 'quo_gone' WHERE org_id = 'org_a'"))
    with world.tx() as tx:
        result = ledger.rate_pending(tx)
    assert result.orgs == (good,) and result.charges == 1
    assert [(p.org_id, "quo_gone" in p.reason) for p in result.problems] == [(bad, True)]
    with world.tx() as tx:
        assert usage.orgs_with_unrated(tx.session) == [bad]
    world.check_books()


def test_nobody_waits_behind_a_large_neighbour(world: World, clock: ManualClock) -> None:
    large, small = world.tenant(name="org_a", yuan="100"), world.tenant(name="org_b", yuan="100")
    leases = [world.lease(large), world.lease(small)]
    clock.advance(3 * HOUR)
    world.accept(windows_of(leases[0], START, 3600))
    world.accept(windows_of(leases[1], START, 120))
    order, after = [], ""
    for _ in range(3):
        with world.tx() as tx:
            result = ledger.rate_pending(tx, 10, after=after)
        order.append(result.orgs)
        assert result.more
        after = result.after
    assert order == [(large,), (small, large), (large,)]


def test_an_organisation_that_is_held_is_passed_over(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="100")
    lease = world.lease(org_id)
    clock.advance(HOUR)
    world.accept(windows_of(lease, START, 60))
    with world.tx() as holder:
        ledger.top_up(holder, org_id, Money(5), "bank", "x", "someone")
        with world.tx() as tx:
            result = ledger.rate_pending(tx)
        assert (result.charges, result.busy, result.more) == (0, (org_id,), False)
    assert world.rate() == 1


def rate_in_any_order(world: World, rng: random.Random, sent: list[UsageWindow], limits: list[int]) -> None:
    """Send windows shuffled, in random batches, some twice, rating in between now and then."""
    arriving = sent + rng.sample(sent, len(sent) // 3)
    rng.shuffle(arriving)
    while arriving:
        cut = rng.randint(1, len(arriving))
        world.accept(arriving[:cut])
        arriving = arriving[cut:]
        if rng.random() < 0.6:
            world.rate(limit=rng.choice(limits))
    world.rate(limit=rng.choice(limits))


PRICES = st.sampled_from([1_800_000_000, 1_799_999_999, 33_333_333, 123_456_789_012])


@settings(max_examples=12)
@given(
    price=PRICES,
    free=st.integers(0, 400_000),
    yuan=st.integers(0, 12),
    seed=st.integers(0, 10**6),
    one_lease=st.booleans(),
)
def test_any_arrival_and_any_batching_give_the_same_bill(
    world: World, clock: ManualClock, price: int, free: int, yuan: int, seed: int, one_lease: bool
) -> None:
    """A lease, with grants and any price; or several leases, and then either no grant or a price without rounding."""
    rng = random.Random(seed)
    if not one_lease and free:
        price = 1_800_000_000
    world.publish(book(price_e8=price, free_udu=free, free_days=30))
    began = max(clock.now(), START)
    shapes = [(rng.randint(1, 4000), rng.randint(1, 1500)) for _ in range(1 if one_lease else 3)]
    totals = []
    tenants = [world.tenant(yuan=str(yuan) if yuan else None) for _ in range(2)]
    first = began.replace(second=0) + timedelta(minutes=1)
    clock.advance(2 * HOUR)
    for number, org_id in enumerate(tenants):
        sent = []
        for milli, seconds in shapes:
            lease = world.lease(org_id, milli=milli, active_from=first)
            sent += windows_of(lease, first, seconds)
        if number == 0:
            world.accept(sent)
            world.rate(limit=100_000)
        else:
            rate_in_any_order(world, rng, sent, [4, 20, 5000])
        parts = purses_of(world, org_id)
        assert sum(q for q, _, _ in parts.values()) == sum(m * DU // 1000 * s // 3600 for m, s in shapes)
        totals.append((world.bill(org_id), parts.get("free", (0, 0, 0))[0]))
        assert len(world.charges(org_id)) == len(sent)
    assert totals[0] == totals[1]
    world.check_books()


def test_replaying_a_day_changes_nothing(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="1000")
    lease = world.lease(org_id)
    clock.advance(timedelta(days=1))
    day = windows_of(lease, START, 86_400 - 3600)
    world.accept(day)
    world.rate()
    with world.tx() as tx:
        before = ledger.trial_balance(tx.session)
        answer = usage.accept_windows(tx, SITE, day)
        assert (answer.accepted, answer.duplicate) == (0, len(day))
    assert world.rate() == 0
    with world.tx() as tx:
        assert ledger.trial_balance(tx.session) == before


@pytest.mark.parametrize("offset", [0, 1, 37, 59])
def test_cuts_at_other_seconds_come_to_the_same(world: World, clock: ManualClock, offset: int) -> None:
    """1,234 s of 0.777 card, begun at any second of a minute: other windows, same 度, same yuan to 10⁻⁶."""
    price = 1_799_999_999
    world.publish(book(price_e8=price, device_rates={"card": 999_000}))
    org_id = world.tenant(yuan="1000")
    start = START + timedelta(seconds=offset)
    lease = world.lease(org_id, milli=777, active_from=start)
    clock.advance(HOUR)
    world.accept(windows_of(lease, start, 1234))
    world.rate(limit=3)
    quantity = 776_223 * 1234 // 3600
    assert sum(c.quantity_udu for c in world.charges(org_id)) == quantity
    assert world.bill(org_id) == cost_ucny(quantity, price)
