"""The worker's queue, order, cancelling and end."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from scripted_model import Gate, Inbox, ScriptedModel

from zhisuan.models.serving.errors import ApiError
from zhisuan.models.serving.generation import Finished, GenerationRequest, Piece, Usage
from zhisuan.models.serving.language_model import LanguageModel
from zhisuan.models.serving.sampler import Sampling
from zhisuan.models.serving.worker import Failed, Worker

REQUEST = GenerationRequest((65,), 1000, Sampling(0.0, 1.0, None))


@contextmanager
def running(
    model: LanguageModel, queue_length: int = 2, seconds: Callable[[], float] = lambda: 0.0
) -> Iterator[Worker]:
    loaded = threading.Event()

    def load() -> LanguageModel:
        loaded.set()
        return model

    worker = Worker(load, queue_length, seconds, lambda: None)
    worker.start()
    assert loaded.wait(20)
    yield worker
    worker.stop(20)


def test_an_answer_comes_in_pieces_and_ends() -> None:
    inbox = Inbox()
    with running(ScriptedModel("云海")) as worker:
        worker.submit(REQUEST, inbox)
        assert [inbox.next() for _ in range(3)] == [Piece("云"), Piece("海"), Finished("stop", Usage(1, 2))]


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    gate = Gate()
    with running(ScriptedModel("云", before_step=gate.wait_here)) as worker:
        inboxes = [Inbox() for _ in range(3)]
        worker.submit(REQUEST, inboxes[0])
        gate.wait_for_step()
        worker.submit(REQUEST, inboxes[1])
        worker.submit(REQUEST, inboxes[2])
        assert worker.waiting == 2
        with pytest.raises(ApiError) as caught:
            worker.submit(REQUEST, Inbox())
        assert (caught.value.status, caught.value.code) == (503, "queue_full")
        assert caught.value.headers() == {"retry-after": "3"}
        gate.let_pass(100)
        assert [inbox.last() for inbox in inboxes] == [Finished("stop", Usage(1, 1))] * 3


def test_waiting_time_follows_the_answers_seen() -> None:
    seconds = iter(range(0, 10_000, 100))
    gate = Gate()
    with running(ScriptedModel("云", before_step=gate.wait_here), 1, lambda: float(next(seconds))) as worker:
        first, second = Inbox(), Inbox()
        gate.let_pass(2)
        worker.submit(REQUEST, first)
        first.last()
        for _ in range(2):
            gate.wait_for_step()
        worker.submit(REQUEST, second)
        gate.wait_for_step()
        worker.submit(REQUEST, Inbox())
        with pytest.raises(ApiError) as caught:
            worker.submit(REQUEST, Inbox())
        # Mean after one answer of 100 s: 1 + 0.2 · 99 = 20.8 s, for the waiting one and the next.
        assert caught.value.retry_after_seconds == 42
        gate.let_pass(100)


def test_cancelled_jobs_give_their_place_back_and_are_never_begun() -> None:
    gate = Gate()
    model = ScriptedModel("云", before_step=gate.wait_here)
    with running(model, queue_length=1) as worker:
        first, left, last = Inbox(), Inbox(), Inbox()
        worker.submit(REQUEST, first)
        gate.wait_for_step()
        worker.submit(REQUEST, left).cancel()
        assert worker.waiting == 0
        worker.submit(REQUEST, last)
        gate.let_pass(100)
        assert last.last() == Finished("stop", Usage(1, 1))
        with pytest.raises(queue.Empty):
            left.events.get_nowait()


def test_cancelling_the_running_answer_frees_the_model() -> None:
    gate = Gate()
    with running(ScriptedModel("云", endless=True, context_tokens=10**6, before_step=gate.wait_here)) as worker:
        endless, short = Inbox(), Inbox()
        job = worker.submit(GenerationRequest((65,), 10**6, REQUEST.sampling), endless)
        gate.wait_for_step()
        gate.let_pass(1)
        gate.wait_for_step()
        job.cancel()
        gate.let_pass(10)
        assert endless.last() == Finished("cancelled", Usage(1, 2))
        worker.submit(GenerationRequest((65,), 1, REQUEST.sampling), short)
        assert short.last() == Finished("length", Usage(1, 1))


def test_a_failing_model_breaks_off_one_answer_only(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = iter([RuntimeError("out of memory")])

    def fail_once() -> None:
        if error := next(outcomes, None):
            raise error

    with running(ScriptedModel("云", before_step=fail_once)) as worker:
        first, second = Inbox(), Inbox()
        worker.submit(REQUEST, first)
        worker.submit(REQUEST, second)
        assert first.last() == Failed("RuntimeError: out of memory")
        assert second.last() == Finished("stop", Usage(1, 1))
    assert "an answer broke off" in caplog.text


def test_a_model_that_cannot_be_loaded_is_reported() -> None:
    told = threading.Event()

    def load() -> LanguageModel:
        raise ValueError("no such file")

    worker = Worker(load, 1, lambda: 0.0, told.set)
    assert worker.state == "loading"
    with pytest.raises(ApiError) as caught:
        _ = worker.model
    assert (caught.value.status, caught.value.code) == (503, "model_loading")
    worker.start()
    assert told.wait(20)
    assert worker.state == "failed"
    assert str(worker.failure) == "no such file"


def test_stopping_breaks_off_the_running_answer_and_the_waiting_ones() -> None:
    gate = Gate()
    with running(ScriptedModel("云", endless=True, before_step=gate.wait_here)) as worker:
        first, second = Inbox(), Inbox()
        worker.submit(REQUEST, first)
        gate.wait_for_step()
        worker.submit(REQUEST, second)
        worker.stop(timeout_seconds=0)
        gate.let_pass(100)
        assert first.last() == Finished("cancelled", Usage(1, 1))
        assert second.last() == Finished("cancelled", Usage(1, 0))
