"""Calls that come at the same time are one batch; each has its own answer."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from zhisuan.api.together import Together

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def begun(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


async def outcome(together: Together[int, int], n: int) -> object:
    try:
        return await together(n)
    except Exception as error:
        return str(error)


async def test_a_call_alone_is_done_at_once_and_raises_what_is_wrong_with_it() -> None:
    def work(asked: Sequence[int]) -> list[int | Exception]:
        return [ValueError(str(n)) if n < 0 else n * 2 for n in asked]

    together: Together[int, int] = Together(work, 5)
    assert await together(3) == 6
    with pytest.raises(ValueError, match="-1"):
        await together(-1)
    assert await together(4) == 8


async def test_those_that_come_while_one_is_at_work_are_the_next_batches_in_order_and_each_gets_its_own() -> None:
    batches: list[list[int]] = []
    at_work, go_on = threading.Event(), threading.Event()

    def work(asked: Sequence[int]) -> list[int | Exception]:
        batches.append(list(asked))
        at_work.set()
        assert go_on.wait(10)
        return [ValueError(f"refused {n}") if n % 7 == 3 else n * 10 for n in asked]

    together: Together[int, int] = Together(work, 4)
    calls = [asyncio.create_task(outcome(together, n)) for n in range(11)]
    await begun(at_work)
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*calls) == [f"refused {n}" if n % 7 == 3 else n * 10 for n in range(11)]
    assert batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


@pytest.mark.parametrize("wrong", [RuntimeError("down"), None])
async def test_a_batch_that_fails_fails_for_each_of_it_and_the_next_is_done(wrong: Exception | None) -> None:
    fails = True

    def work(asked: Sequence[int]) -> list[int | Exception]:
        if not fails:
            return [n + 1 for n in asked]
        if wrong is not None:
            raise wrong
        return []

    together: Together[int, int] = Together(work, 3)
    said = await asyncio.gather(*(outcome(together, n) for n in range(20)))
    assert set(said) == {"down" if wrong is not None else "the batch was not answered"}
    fails = False
    assert await together(1) == 2


@pytest.mark.parametrize("gone", [[1], [2], [1, 2, 3], [1, 2, 3, 4, 5], [0], [0, 1, 5]])
@pytest.mark.parametrize("moment", ["before", "as the turn comes"])
async def test_callers_that_go_away_leave_nobody_waiting(gone: list[int], moment: str) -> None:
    """Also where the one that goes is just to begin the next batch."""
    at_work, go_on, done = threading.Event(), threading.Event(), []

    def work(asked: Sequence[int]) -> list[int | Exception]:
        at_work.set()
        assert go_on.wait(10)
        done.extend(asked)
        return list(asked)

    together: Together[int, int] = Together(work, 1)
    calls = [asyncio.create_task(together(n)) for n in range(6)]
    await begun(at_work)
    await asyncio.sleep(0)
    if moment == "before":
        for n in gone:
            calls[n].cancel()
        go_on.set()
    else:
        go_on.set()
        while not calls[0].done():
            await asyncio.sleep(0)
        for n in gone:
            calls[n].cancel()
    answers = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    for n, answer in enumerate(answers):
        assert answer == n or n in gone, f"{n}: {answer!r}"
    assert await asyncio.wait_for(together(9), 10) == 9
    assert sorted(set(done)) == sorted(done), "none is done twice"


async def test_hundreds_at_once_take_up_one_thread() -> None:
    threads: set[int] = set()

    def work(asked: Sequence[int]) -> list[int | Exception]:
        threads.add(threading.get_ident())
        return [n * n for n in asked]

    together: Together[int, int] = Together(work, 16)
    assert await asyncio.gather(*(together(n) for n in range(1000))) == [n * n for n in range(1000)]
    assert len(threads) == 1
