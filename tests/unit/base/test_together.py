"""Calls that come at the same time are one batch; each has its own answer."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from zhisuan.base.together import Together


def test_a_call_alone_is_done_at_once_and_raises_what_is_wrong_with_it() -> None:
    def work(asked: Sequence[int]) -> list[int | Exception]:
        return [ValueError(str(n)) if n < 0 else n * 2 for n in asked]

    together: Together[int, int] = Together(work, 5)
    assert together(3) == 6
    with pytest.raises(ValueError, match="-1"):
        together(-1)
    assert together(4) == 8


def test_those_that_come_while_one_is_at_work_are_the_next_batches_in_order_and_each_gets_its_own() -> None:
    batches: list[list[int]] = []
    begun, go_on = threading.Event(), threading.Event()

    def work(asked: Sequence[int]) -> list[int | Exception]:
        batches.append(list(asked))
        begun.set()
        assert go_on.wait(10)
        return [KeyError(n) if n % 7 == 3 else n * 10 for n in asked]

    together: Together[int, int] = Together(work, 4)

    def call(n: int) -> int | str:
        try:
            return together(n)
        except KeyError as error:
            return f"refused {error.args[0]}"

    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(call, 0)
        assert begun.wait(10)
        later = []
        for n in range(1, 11):
            later.append(pool.submit(call, n))
            while len(together._waiting) < n:
                time.sleep(0.001)
        go_on.set()
        assert first.result(10) == 0
        assert [f.result(10) for f in later] == [f"refused {n}" if n % 7 == 3 else n * 10 for n in range(1, 11)]
    assert batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


@pytest.mark.parametrize("wrong", [RuntimeError("down"), "too few"])
def test_a_batch_that_fails_fails_for_each_of_it_and_the_next_is_done(wrong: object) -> None:
    failing = threading.Event()
    failing.set()

    def work(asked: Sequence[int]) -> list[int | Exception]:
        if not failing.is_set():
            return [n + 1 for n in asked]
        if isinstance(wrong, Exception):
            raise wrong
        return []

    together: Together[int, int] = Together(work, 3)

    def call(n: int) -> object:
        try:
            return together(n)
        except RuntimeError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        said = set(pool.map(call, range(20)))
    assert said == {"down" if isinstance(wrong, Exception) else "the batch was not answered"}
    failing.clear()
    assert together(1) == 2


def test_whoever_is_killed_at_work_leaves_nobody_waiting() -> None:
    class Killed(BaseException):
        pass

    begun, go_on = threading.Event(), threading.Event()

    def work(asked: Sequence[str]) -> list[str | Exception]:
        if asked == ["killed"]:
            begun.set()
            assert go_on.wait(10)
            raise Killed
        return [f"{one} done" for one in asked]

    together: Together[str, str] = Together(work, 3)
    ended: list[str] = []

    def killed() -> None:
        try:
            together("killed")
        except Killed:
            ended.append("killed")

    thread = threading.Thread(target=killed)
    thread.start()
    assert begun.wait(10)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(together, name) for name in "ab"]
        while len(together._waiting) < 2:
            time.sleep(0.001)
        go_on.set()
        assert sorted(w.result(10) for w in waiting) == ["a done", "b done"]
    thread.join(10)
    assert ended == ["killed"]


def test_many_threads_lose_and_mix_up_nothing() -> None:
    at_work = threading.Lock()

    def work(asked: Sequence[int]) -> list[int | Exception]:
        assert at_work.acquire(blocking=False), "two batches at once"
        try:
            return [n * n for n in asked]
        finally:
            at_work.release()

    together: Together[int, int] = Together(work, 16)
    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(together, range(3000))) == [n * n for n in range(3000)]
