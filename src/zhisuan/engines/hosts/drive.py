"""Carries every run from its order to its end: tells its ranks' hosts what to do, hears what became of it.

Level-triggered: each step looks at how the run stands and gives each rank at most one call; what a broken connection left
unanswered is simply asked again, since every call may be repeated.

1. *start* every rank: archives are fetched, unpacked, all is ready; nothing of the tenant's runs yet.
2. All are ready: the word to begin is written down, then *go* to every rank. (A run of one host needs no word.)
3. One rank ends otherwise than with 0, or its host is silent for the term: *stop* to all others.
4. All ranks are over: the end is written.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from zhisuan.engines.contract import ExitReason, Observation
from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.hosts.gang import Gang, Rank, load
from zhisuan.engines.hosts.link import LinkBroken, Said
from zhisuan.engines.hosts.messages import ORDER, VIEWS, WANTED, RankOrder, View, Wanted, plain
from zhisuan.engines.hosts.paths import RunPaths
from zhisuan.engines.hosts.posts import Post, Posts
from zhisuan.engines.hosts.seats import rank_spec, seat_of
from zhisuan.engines.hosts.verdict import Ending, RankEnd
from zhisuan.engines.local import records

log = logging.getLogger("zhisuan.hosts")

Key = tuple[str, int]
STEP_SECONDS = 0.5
LOOK_MS = 1000
ABSENT_SECONDS = 30.0
"""How long a run that has not begun waits for a host that is not connected."""
_START_SECONDS = 3600.0
_RETRY_SECONDS = 1.0


class Driver:
    """In the head's loop. ``is_held`` tells whether the head has files of a run. ``term_seconds`` is the longest that work
    goes on unheard, ``margin_seconds`` what is added before it counts as lost."""

    def __init__(
        self,
        posts: Posts,
        now: Callable[[], datetime],
        is_held: Callable[[Key], bool],
        *,
        term_seconds: int,
        margin_seconds: int,
        grace_seconds: int,
    ) -> None:
        self._posts = posts
        self._now = now
        self._is_held = is_held
        self._term = term_seconds
        self._margin = margin_seconds
        self._grace = grace_seconds
        self.gangs: dict[Key, Gang] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, paths: RunPaths) -> None:
        """Begin to drive the run in these files; nothing to do where it is driven already."""
        made = load(paths)
        if made.key not in self.gangs:
            self.gangs[made.key] = made
            self._spawn(self._drive(made))

    def wake(self, key: Key) -> None:
        if key in self.gangs:
            self.gangs[key].changed.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drive(self, gang: Gang) -> None:
        complained = ""
        absent_since = asyncio.get_running_loop().time()
        while True:
            gang.changed.clear()
            try:
                absent_since = self._step(gang, absent_since)
                if gang.settle_end(self._now()):
                    del self.gangs[gang.key]
                    return
            except OSError as error:
                # A full disk at the head must not end the run: it is tried again.
                if str(error) != complained:
                    complained = str(error)
                    log.error("%s cannot be written down: %s; trying again.", gang.key, error)
                await asyncio.sleep(_RETRY_SECONDS)
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    await gang.changed.wait()
            except TimeoutError:
                continue

    # One step

    def _step(self, gang: Gang, absent_since: float) -> float:
        """Returns since when all hosts have been there, or when they were last not missed."""
        time = asyncio.get_running_loop().time()
        gang.settle_start(time)
        self._lose_the_silent(gang)
        missing = [rank.host for rank in gang.ranks if rank.host not in self._posts.connected]
        gang.waits_for = f"waiting for {', '.join(missing)}: not connected to the site" if missing else None
        if not missing:
            absent_since = time
        elif not gang.begun and time - absent_since > ABSENT_SECONDS:
            self._give_up(gang, missing)
        waits = not gang.begun and gang.is_gang and gang.ending is None and gang.request() is None
        if waits and all(rank.ready for rank in gang.ranks):
            records.write_atomic(gang.paths.begun, [("begun", "1")])
            gang.begun = True
        for rank in gang.ranks:
            self._tell(gang, rank)
        return absent_since

    def _tell(self, gang: Gang, rank: Rank) -> None:
        post = self._posts.connected.get(rank.host)
        if post is None or rank.over is not None or rank.busy:
            return
        grace = gang.grace(self._grace)
        if grace is not None:
            if rank.stopped is None or grace < rank.stopped:
                rank.busy = True
                self._spawn(self._stop(gang, rank, post, grace))
        elif not rank.accepted and not gang.begun:
            rank.busy = rank.asked = True
            self._spawn(self._start(gang, rank, post))
        elif gang.is_gang and gang.begun and not rank.went:
            rank.busy = True
            self._spawn(self._go(gang, rank, post))

    def _lose_the_silent(self, gang: Gang) -> None:
        for rank in gang.ranks:
            if rank.over is None and self._posts.silent_seconds(rank.host) > self._limit(gang, rank):
                term = self._own_term(gang, rank)
                why = f"the host has not been heard of for longer than the term of {term} seconds, after which it ends the work itself"
                gang.finish(rank, RankEnd(rank.host, None, why, self._posts.last_sign(rank.host)))

    def _own_term(self, gang: Gang, rank: Rank) -> int:
        own = gang.order.spec.orphan_seconds or self._term
        return min(self._term, own, self._posts.orphan_seconds(rank.host))

    def _limit(self, gang: Gang, rank: Rank) -> int:
        return self._own_term(gang, rank) + self._posts.grace_seconds(rank.host) + self._margin

    def _give_up(self, gang: Gang, missing: list[str]) -> None:
        """Before the word to begin nothing of the tenant's runs: a rank that waits at a host that is away never gets it.
        A single rank begins by itself, so one that may have been started is waited for instead."""
        gang.end(Ending(ExitReason.start_failed, f"{', '.join(missing)}: not connected to the site; nothing was begun"))
        for rank in gang.ranks:
            if rank.over is None and rank.host in missing and (gang.is_gang or not rank.asked):
                gang.finish(rank, RankEnd(rank.host, None))

    # Calls

    async def _start(self, gang: Gang, rank: Rank, post: Post) -> None:
        number = gang.ranks.index(rank)
        order = RankOrder(rank_spec(gang.order.spec, number), seat_of(gang.order, number), gang.order.archives)
        try:
            await post.link.call("start", plain(ORDER, order), seconds=_START_SECONDS)
            rank.accepted = True
            if not gang.is_gang:
                records.write_atomic(gang.paths.begun, [("begun", "1")])
                gang.begun = True
        except Said as error:
            if error.said_code == EngineUnavailable.code:
                log.info("%s: %s: %s; trying again", gang.key, rank.host, error)
                await asyncio.sleep(_RETRY_SECONDS)
            elif rank.over is None:
                where = f"node {number} ({rank.host}): " if gang.is_gang else f"{rank.host}: "
                gang.end(Ending(ExitReason.start_failed, f"{where}{error}"))
                gang.finish(rank, RankEnd(rank.host, None))
        except (LinkBroken, OSError) as error:
            log.info("%s: starting at %s is tried again: %s", gang.key, rank.host, error)
            await asyncio.sleep(_RETRY_SECONDS)
        finally:
            rank.busy = False
            gang.changed.set()

    async def _go(self, gang: Gang, rank: Rank, post: Post) -> None:
        if await self._call(gang, rank, post, "go", {}):
            rank.went = True
            gang.changed.set()

    async def _stop(self, gang: Gang, rank: Rank, post: Post, grace: int) -> None:
        if await self._call(gang, rank, post, "stop", {"grace_seconds": grace}):
            rank.stopped = grace
            rank.accepted = True
            gang.changed.set()

    async def _call(self, gang: Gang, rank: Rank, post: Post, name: str, given: dict[str, Any]) -> bool:
        lease_id, generation = gang.key
        try:
            await post.link.call(name, {"lease_id": lease_id, "generation": generation, **given})
        except Said as error:
            if error.said_code == "unknown_run" and rank.over is None:
                self._forgotten(gang, rank)
                return False
            log.warning("%s: %s at %s: %s", gang.key, name, rank.host, error)
            await asyncio.sleep(_RETRY_SECONDS)
        except LinkBroken:
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return True
        finally:
            rank.busy = False
            gang.changed.set()
        return False

    def _forgotten(self, gang: Gang, rank: Rank) -> None:
        why = "the host knows nothing of the work any more: its folder was emptied or lost"
        gang.finish(rank, RankEnd(rank.host, None, why, self._posts.last_sign(rank.host)))

    # Hearing of the ranks

    async def watch(self, post: Post) -> None:
        """For as long as the host is connected. Raises LinkBroken."""
        for gang in self.gangs.values():
            for rank in gang.ranks:
                if rank.host == post.hostname:
                    rank.went, rank.stopped, rank.digest = False, None, ""
            gang.changed.set()
        doubtful: set[Key] = set()
        while True:
            asked = {
                gang.key: (gang, rank)
                for gang in list(self.gangs.values())
                for rank in gang.ranks
                if rank.host == post.hostname and rank.accepted and rank.over is None
            }
            wanted = tuple(Wanted(*key, rank.logged, rank.digest) for key, (_, rank) in asked.items())
            given = {"wanted": plain(WANTED, wanted), "wait_ms": LOOK_MS}
            views = VIEWS.validate_python(await post.link.call("look", given))
            try:
                for view in views.views:
                    gang, rank = asked[(view.lease_id, view.generation)]
                    self._take(gang, rank, view, post.skew)
            except OSError as error:
                log.error("What %s says cannot be written down: %s; asking again.", post.hostname, error)
                await asyncio.sleep(_RETRY_SECONDS)
            doubtful = await self._tidy(post, views.others, doubtful)

    def _take(self, gang: Gang, rank: Rank, view: View, skew: timedelta) -> None:
        if rank.over is not None:
            return
        if view.seen is None:
            self._forgotten(gang, rank)
            return
        gang.take(rank, replace(view, seen=_in_our_time(view.seen, skew)))
        gang.settle_start(asyncio.get_running_loop().time())

    async def _tidy(self, post: Post, others: Sequence[tuple[str, int, bool]], before: Set[Key]) -> set[Key]:
        """Runs that the host holds and nobody waits for. Where the head has ended one, it must not go on; where the head knows
        it no more, it is removed, if that was so at the look ``before``, too. Returns those to look at again."""
        doubtful: set[Key] = set()
        for lease_id, generation, ended in others:
            key = (lease_id, generation)
            gang = self.gangs.get(key)
            if gang is not None and any(rank.host == post.hostname and rank.over is None for rank in gang.ranks):
                continue
            held = gang is not None or self._is_held(key)
            if held and ended:
                continue
            doubtful.add(key)
            if key in before:
                await self._clear(post, key, remove=not held)
        return doubtful

    async def _clear(self, post: Post, key: Key, *, remove: bool) -> None:
        given = {"lease_id": key[0], "generation": key[1]}
        try:
            await post.link.call("stop", {**given, "grace_seconds": 0})
            if remove:
                await post.link.call("remove", given)
        except Said as error:
            log.info("%s is not gone from %s yet: %s", key, post.hostname, error)


def _in_our_time(seen: Observation, skew: timedelta) -> Observation:
    """Times as the head's clock would have shown them."""
    if not skew:
        return seen
    return replace(
        seen,
        started_at=seen.started_at - skew if seen.started_at is not None else None,
        ended_at=seen.ended_at - skew if seen.ended_at is not None else None,
    )
