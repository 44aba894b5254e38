"""A small city for ledger tests: price books, organisations, leases, and metered windows as an agent would send them."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from zhisuan.base.db import Database, Tx
from zhisuan.base.money import Money
from zhisuan.catalog import service as catalog
from zhisuan.catalog.price_book import DedicatedTokens, FreeQuota, Name, Pack, PriceBook, TokenPrices
from zhisuan.catalog.rules import ShapeItem
from zhisuan.catalog.service import publish_price_book
from zhisuan.execution.tables import Lease
from zhisuan.ledger import service as ledger
from zhisuan.ledger.tables import Charge
from zhisuan.tenancy.tables import Organisation
from zhisuan.testing.database import START
from zhisuan.usage import service as usage
from zhisuan.wire.gateway import TokenUsage
from zhisuan.wire.site import UsageWindow

SITE = "site_one"
PROVIDER = "org_provider"
YUAN = 1_000_000
DU = 1_000_000


def book(
    *, price_e8: int = 1_800_000_000, free_udu: int = 0, free_days: int | None = None, free_value_ppm: int = 400_000,
    packs: Sequence[tuple[str, int, int, int | None]] = (("pack-10", 10 * DU, 70 * YUAN, 365),),
    input_udu_per_million: int = 0, cached_udu_per_million: int = 0, output_udu_per_million: int = 0,
    device_rates: dict[str, int] | None = None,
) -> PriceBook:  # fmt: skip
    return PriceBook(
        on_demand_price_e8_per_du=price_e8,
        device_rates=device_rates or {"card": 1 * DU, "core": 25_000},
        cpu_with_accelerator_free=True,
        free_quota=FreeQuota(quantity_udu=free_udu, valid_days=free_days, provider_value_ppm=free_value_ppm),
        packs=tuple(
            Pack(product=p, name=Name(en=p, zh=p), quantity_udu=q, price_ucny=price, valid_days=days)
            for p, q, price, days in packs
        ),
        tokens=TokenPrices(
            dedicated=DedicatedTokens(
                input_udu_per_million=input_udu_per_million,
                cached_input_udu_per_million=cached_udu_per_million,
                output_udu_per_million=output_udu_per_million,
            )
        ),
        platform_fee_ppm=100_000,
    )


@dataclass
class World:
    """One database with helpers; every helper is a transaction of its own."""

    database: Database
    numbers: "itertools.count[int]"

    @contextmanager
    def tx(self) -> Iterator[Tx]:
        with self.database.begin("test") as tx:
            yield tx

    def publish(self, prices: PriceBook) -> int:
        with self.tx() as tx:
            return publish_price_book(tx, prices, tx.now)

    def tenant(self, *, yuan: str | None = None, name: str | None = None) -> str:
        """A tenant with an open account and ``yuan`` in its wallet."""
        org_id = name or f"org_tenant{next(self.numbers)}"
        with self.tx() as tx:
            tx.session.add(Organisation(id=org_id, kind="tenant", name=org_id, region=None, created_at=tx.now))
            tx.session.flush()
            ledger.open_account(tx, org_id)
        if yuan is not None:
            self.top_up(org_id, yuan)
        return org_id

    def top_up(self, org_id: str, yuan: str, reference: str | None = None) -> None:
        with self.tx() as tx:
            ledger.top_up(tx, org_id, Money.yuan(yuan), "bank", reference or f"ref{next(self.numbers)}", "someone")

    def buy(self, org_id: str, product: str = "pack-10", quantity: int = 1) -> str:
        with self.tx() as tx:
            return ledger.buy_pack(tx, org_id, product, quantity, "someone").id

    def lease(
        self, org_id: str, *, milli: int = 1000, class_id: str = "card", active_from: datetime = START,
        name: str | None = None, fault: str | None = None,
    ) -> str:  # fmt: skip
        """An active lease of ``milli`` thousandths of a device, quoted at the prices in force now."""
        lease_id = name or f"lea_{next(self.numbers)}"
        with self.tx() as tx:
            quote = catalog.make_quote(tx, org_id, [ShapeItem(class_id, "accelerator", milli)])
            tx.session.add(
                Lease(
                    id=lease_id, workload_id=f"job_{lease_id}", generation=1, org_id=org_id, site_id=SITE,
                    provider_id=PROVIDER, node_ids=["node_1"], placement_id="plc_1", quote_id=quote.id, state="active",
                    desired="run", term_seconds=7200, offer={}, rate_udu_per_hour=quote.rate_udu_per_hour, power_milliwatts=400_000,
                    pue_milli=1200, region="cn-west", offered_at=active_from, active_from=active_from,
                    fault=fault, cpu_milliseconds=0, memory_peak_bytes=0,
                )
            )  # fmt: skip
        return lease_id

    def accept(self, windows: Sequence[UsageWindow]) -> None:
        with self.tx() as tx:
            answer = usage.accept_windows(tx, SITE, windows)
            assert not answer.refused and not answer.retry, answer

    def accept_tokens(self, events: Sequence[TokenUsage]) -> None:
        with self.tx() as tx:
            answer = usage.accept_token_events(tx, "gateway-1", events)
            assert not answer.refused, answer

    def rate(self, limit: int = 5000) -> int:
        """Rate until nothing is left; the number of charges."""
        done, after = 0, ""
        while True:
            with self.tx() as tx:
                result = ledger.rate_pending(tx, limit, after=after)
            assert not result.problems, result
            done, after = done + result.charges, result.after
            if not result.more:
                return done

    def charges(self, org_id: str) -> list[Charge]:
        with self.tx() as tx:
            return list(tx.session.query(Charge).filter_by(org_id=org_id).order_by(Charge.at, Charge.id))

    def wallet(self, org_id: str) -> int:
        with self.tx() as tx:
            return ledger.funds(tx.session, org_id, tx.now).wallet_ucny

    def owed(self, org_id: str) -> int:
        with self.tx() as tx:
            return ledger.funds(tx.session, org_id, tx.now).arrears_ucny

    def bill(self, org_id: str) -> int:
        """All that was charged in money for use, in 10⁻⁶ yuan."""
        return sum(charge.cash_ucny for charge in self.charges(org_id))

    def check_books(self) -> None:
        """Zero sums, balances that are their entries, charges that are their slices, nothing below its floor."""
        with self.tx() as tx:
            assert ledger.trial_balance(tx.session).is_zero
            assert ledger.rebuild_balances_check(tx.session) == ()
            assert ledger.check_charges(tx.session) == ()
            assert usage.check_totals(tx.session) == []
            for row in ledger.trial_balance(tx.session).rows:
                if row.account.split(":")[0] in ("wallet", "grant", "deferred"):
                    assert row.amount >= 0, row


def make_world(database: Database, prices: PriceBook | None = None) -> World:
    world = World(database, itertools.count(1))
    world.publish(prices or book())
    return world


def windows_of(lease_id: str, start: datetime, seconds: int, generation: int = 1) -> list[UsageWindow]:
    """``seconds`` of a lease as windows, cut at every minute."""
    made = []
    end = start + timedelta(seconds=seconds)
    at = start
    while at < end:
        stop = min(end, at.replace(second=0, microsecond=0) + timedelta(minutes=1))
        made.append(window(lease_id, at, stop, generation))
        at = stop
    return made


def window(lease_id: str, start: datetime, end: datetime, generation: int = 1) -> UsageWindow:
    epoch = int(start.astimezone(UTC).timestamp())
    return UsageWindow(
        lease_id=lease_id, generation=generation, id=f"{lease_id}:{generation}:{epoch}", start=start, end=end
    )


def call(
    ident: str, org_id: str, lease_id: str, at: datetime, *, input_tokens: int = 0, cached: int = 0, output: int = 0,
    outcome: str = "completed",
) -> TokenUsage:  # fmt: skip
    return TokenUsage.model_validate({
        "id": ident, "at": at, "org_id": org_id, "project_id": None, "key_id": "key_1", "deployment_id": "dep_1",
        "lease_id": lease_id, "model": "scenic-qa", "input_tokens": input_tokens, "cached_input_tokens": cached,
        "output_tokens": output, "outcome": outcome, "duration_ms": 12,
    })  # fmt: skip
