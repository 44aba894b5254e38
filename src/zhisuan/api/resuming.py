"""Resuming and restarting work that rests: priced anew, its purse asked, and placed if there is a place."""

from datetime import timedelta

from zhisuan.api import launching
from zhisuan.api.pricing import dearest_shape
from zhisuan.api.wishing import wish_of
from zhisuan.base.db import Tx
from zhisuan.catalog import service as catalog
from zhisuan.execution import pausing
from zhisuan.ledger import service as ledger
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload


def resume(tx: Tx, workload: Workload, ttl: timedelta) -> None:
    """Let a paused workload wait for a place again, at the prices in force now. Raises ``Conflict`` for any other."""
    pausing.require_resumable(workload, ended_too=False)
    _begin_again(tx, workload, ttl, "resumed")


def restart(tx: Tx, workload: Workload, ttl: timedelta) -> None:
    """Begin again from the last checkpoint: what runs is ended for that with its grace; what is paused, has failed or was
    cancelled waits again. Raises ``Conflict`` for one that has succeeded."""
    if workload.cancel_requested_at is None and workload.pause_reason is None and pausing.restart_running(tx, workload):
        return
    pausing.require_resumable(workload, ended_too=True)
    _begin_again(tx, workload, ttl, "restarted")


def _begin_again(tx: Tx, workload: Workload, ttl: timedelta, cause: str) -> None:
    spec = WorkloadSpec.from_dict(workload.spec)
    market = launching.market_of(tx)
    wish = wish_of(spec)
    made = launching.checked_plan(launching.snapshot_of(tx, market, ttl, spot=spec.survival.spot), wish)
    shape = dearest_shape(made, wish, market.book, market.classes)
    quote = catalog.make_quote(tx, workload.org_id, shape, spot=spec.survival.spot)
    funds = ledger.funds(tx.session, workload.org_id, tx.now)
    ledger.require_funds(funds, quote.rate_udu_per_hour, quote.price_e8_per_du, launching.FUNDED_SECONDS)
    workload.quote_id = quote.id
    pausing.wait_again(tx, workload, cause)
    tx.session.flush()
    launching.place_waiting(tx, workload.id, ttl)
