"""The engine's own account of each ended run: asked for when the run is over, kept, and sent until the server has it.

It never holds up the end of a lease: the server may close it first. A run stays with the engine until its account is here, or
until the engine's books have not shown it for ``PATIENCE_SECONDS``: then there is none, and the server shows that.
"""

import asyncio
from collections.abc import Callable

from zhisuan.engines.contract import Engine, EngineAccount
from zhisuan.engines.errors import EngineError
from zhisuan.site.backoff import Backoff, Link, log
from zhisuan.site.book import Book, Held
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Refused, Unreachable
from zhisuan.site.journal import Journal
from zhisuan.site.reconcile import Run
from zhisuan.site.record import Key
from zhisuan.site.signals import Signals
from zhisuan.wire.site import AccountBatch, AccountReport

ASK_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
BATCH = 500


class Accounts:
    def __init__(
        self,
        engine: Engine,
        client: ServerClient,
        book: Book,
        journal: Journal,
        signals: Signals,
        link: Link,
        new_backoff: Callable[[], Backoff],
    ) -> None:
        self._engine = engine
        self._client = client
        self._book = book
        self._journal = journal
        self._signals = signals
        self._link = link
        self._new_backoff = new_backoff
        self._kept = asyncio.Event()
        self._since: dict[Key, float] = {}

    async def ask(self) -> None:
        """For ever: the accounts of runs that have ended."""
        while True:
            due = self._due()
            if not due:
                await self._signals.ended.wait()
                self._signals.ended.clear()
                continue
            self._take(due, await self._look([held.key for held in due]))
            if self._due():
                await asyncio.sleep(ASK_SECONDS)

    def _due(self) -> list[Held]:
        """Of a run that never began, or that the engine no longer knows, there is nothing to ask."""
        due = []
        for held in self._book.held.values():
            if held.ended.is_set() and not held.accounted:
                if held.record.started_at is None or held.run is Run.none:
                    self._settle(held)
                else:
                    due.append(held)
        return due

    async def _look(self, keys: list[Key]) -> dict[tuple[str, int], EngineAccount]:
        try:
            return dict(await asyncio.to_thread(self._engine.accounts, keys))
        except (EngineError, OSError) as error:
            log.warning("The engine's own account cannot be read now: %s", error)
            return {}

    def _take(self, due: list[Held], found: dict[tuple[str, int], EngineAccount]) -> None:
        now = asyncio.get_running_loop().time()
        for held in due:
            account = found.get((held.key.lease_id, held.key.generation))
            if account is not None:
                self._journal.keep_account(held.key, report(held.key, account))
                self._kept.set()
                self._settle(held)
            elif now - self._since.setdefault(held.key, now) >= PATIENCE_SECONDS:
                log.warning("The engine has no account of %s of its own.", held.key)
                self._settle(held)

    def _settle(self, held: Held) -> None:
        held.accounted = True
        self._since.pop(held.key, None)
        self._signals.control.set()

    async def send(self) -> None:
        """For ever: what is kept, until the server has taken it."""
        backoff = self._new_backoff()
        while True:
            self._kept.clear()
            kept = self._journal.unsent_accounts(BATCH)
            if not kept:
                await self._kept.wait()
            elif await self._sent(kept):
                self._journal.accounts_sent(kept)
                backoff.reset()
            else:
                await backoff.pause()

    async def _sent(self, kept: list[AccountReport]) -> bool:
        try:
            answer = await self._client.send_accounts(AccountBatch(accounts=tuple(kept)))
        except Unreachable as error:
            self._link.failed(error.why)
            return False
        except Refused as error:
            self._link.refused("accounts of runs", error.detail)
            # An older server has no such call and never asks for them.
            return error.unknown
        self._link.succeeded()
        self._link.taken("accounts of runs")
        if answer.refused:
            log.warning("The server does not know %d of the leases that accounts were sent of.", len(answer.refused))
        return True


def report(key: Key, account: EngineAccount) -> AccountReport:
    return AccountReport(
        lease_id=key.lease_id,
        generation=key.generation,
        source=account.source,
        reference=account.reference,
        state=account.state,
        started_at=account.started_at,
        ended_at=account.ended_at,
        elapsed_milliseconds=account.elapsed_milliseconds,
        cpu_milliseconds=account.cpu_milliseconds,
        nodes=account.nodes,
    )
