"""Cached answers of the server: when it is asked, when it is not, and what serves while it is away."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import pytest

from zhisuan.gateway import cache as cache_module
from zhisuan.gateway.cache import AnswerCache
from zhisuan.gateway.control import ServerUnavailable


@dataclass(frozen=True)
class Answer:
    valid: bool
    number: int


@dataclass
class Server:
    """Counts the questions; answers, refuses, fails or stays silent as told."""

    asked: int = 0
    valid: bool = True
    away: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def ask(self, _: str) -> Answer:
        self.asked += 1
        number = self.asked
        await self.gate.wait()
        if self.away:
            raise ServerUnavailable("away")
        return Answer(self.valid, number)


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def scenario(
    act: Callable[[AnswerCache[Answer], Server, Time], Coroutine[None, None, None]], *, stale: float = 300.0
) -> None:
    async def run() -> None:
        server, time = Server(), Time()
        cache: AnswerCache[Answer] = AnswerCache(
            server.ask,
            ttl=lambda answer: 10.0 if answer.valid else 3.0,
            stale_seconds=stale,
            wait_seconds=0.05,
            monotonic=time,
        )
        await act(cache, server, time)
        server.gate.set()
        await cache.close()

    asyncio.run(run())


def test_many_at_once_are_one_question() -> None:
    async def act(cache: AnswerCache[Answer], server: Server, _: Time) -> None:
        answers = await asyncio.gather(*(cache.get("a") for _ in range(50)), cache.get("b"))
        assert server.asked == 2
        assert len({id(answer) for answer in answers}) == 2

    scenario(act)


def test_an_answer_lives_its_time_and_is_renewed_ahead_while_in_use() -> None:
    async def act(cache: AnswerCache[Answer], server: Server, time: Time) -> None:
        await cache.get("a")
        time.now += 4.9
        assert (await cache.get("a")).number == 1
        await asyncio.sleep(0)
        assert server.asked == 1
        time.now += 0.2
        assert (await cache.get("a")).number == 1
        await asyncio.sleep(0.01)
        assert server.asked == 2
        time.now += 9
        assert (await cache.get("a")).number == 2
        time.now += 11
        assert (await cache.get("a")).number >= 3

    scenario(act)


def test_a_key_taken_back_stops_within_its_time() -> None:
    async def act(cache: AnswerCache[Answer], server: Server, time: Time) -> None:
        assert (await cache.get("a")).valid
        server.valid = False
        time.now += 10.01
        assert not (await cache.get("a")).valid

    scenario(act)


def test_a_refusal_is_kept_briefly_and_never_stale() -> None:
    async def act(cache: AnswerCache[Answer], server: Server, time: Time) -> None:
        server.valid = False
        await cache.get("a")
        time.now += 2.9
        await cache.get("a")
        assert server.asked == 1
        server.away = True
        time.now += 0.2
        with pytest.raises(ServerUnavailable):
            await cache.get("a")

    scenario(act)


def test_while_the_server_is_away_a_good_answer_serves_until_it_is_stale() -> None:
    async def act(cache: AnswerCache[Answer], server: Server, time: Time) -> None:
        await cache.get("a")
        server.away = True
        time.now += 200
        for _ in range(20):
            assert (await cache.get("a")).number == 1
        assert server.asked == 2, "after a failure the server is left alone for a while"
        time.now += 99
        assert (await cache.get("a")).number == 1
        time.now += 1.1
        with pytest.raises(ServerUnavailable):
            await cache.get("a")
        server.away = False
        assert (await cache.get("a")).valid

    scenario(act)


def test_a_silent_server_holds_a_known_key_only_briefly_and_an_unknown_one_not_for_ever() -> None:
    async def act(cache: AnswerCache[Answer], server: Server, time: Time) -> None:
        await cache.get("a")
        server.gate.clear()
        time.now += 60
        assert (await cache.get("a")).number == 1
        with pytest.raises(ServerUnavailable):
            await cache.get("b")

    scenario(act)


def test_one_that_gives_up_waiting_does_not_spoil_it_for_the_others() -> None:
    async def act(cache: AnswerCache[Answer], server: Server, _: Time) -> None:
        server.gate.clear()
        first, second = asyncio.create_task(cache.get("a")), asyncio.create_task(cache.get("a"))
        await asyncio.sleep(0)
        first.cancel()
        server.gate.set()
        assert (await second).number == 1
        assert first.cancelled()

    scenario(act)


def test_a_flood_of_wrong_keys_does_not_push_out_right_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "BAD_ENTRIES_MAX", 10)

    async def act(cache: AnswerCache[Answer], server: Server, _: Time) -> None:
        await cache.get("good")
        server.valid = False
        for number in range(100):
            await cache.get(f"wrong {number}")
        assert (await cache.get("good")).number == 1
        assert (await cache.get("wrong 99")).number == 101
        assert (await cache.get("wrong 0")).number == 102

    scenario(act)


def test_fresh_always_asks() -> None:
    async def act(cache: AnswerCache[Answer], server: Server, _: Time) -> None:
        await cache.get("a")
        server.valid = False
        assert not (await cache.fresh("a")).valid
        assert not (await cache.get("a")).valid

    scenario(act)
