"""One replica: continuous batching as a stated model.

It works in steps. In a step each running call writes one token, and up to ``chunk`` tokens of input are read, oldest call first:

    step = max(base_us, tokens read x prefill_ns / 1000) + decode_us x calls that write

A call's first token comes at the end of the step in which the last of its input is read. A call is admitted, in the order of
arrival, when fewer than ``batch_max`` run and memory has room for its whole input and output. Steps that are alike are taken
together, so the work is by events and not by tokens.
"""

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

from zhisuan.simulation.serving.blocks import BlockMemory
from zhisuan.simulation.serving.requests import BLOCK_TOKENS, Request


@dataclass(frozen=True, slots=True)
class Speed:
    """The defaults are assumptions: of the order of a dense 70B model on eight cards of the H100 class. 2,500 blocks: 320 KiB for a
    token (80 layers, 8 heads of 128 for keys and for values, 16 bits) in some 400 GB left beside the weights."""

    prefill_ns: int = 62_500
    base_us: int = 25_000
    decode_us: int = 250
    chunk: int = 2_048
    """Tokens of input read in one step; 0 reads one whole input in a step."""
    batch_max: int = 128
    blocks: int = 2_500

    def step_us(self, read: int, writing: int) -> int:
        return max(self.base_us, (read * self.prefill_ns + 999) // 1000) + self.decode_us * writing


@dataclass(slots=True, eq=False)
class Call:
    """A request on its way. Times are -1 until they are known; ``outcome`` is empty until it has ended."""

    number: int
    request: Request
    replica: int = -1
    admitted_us: int = -1
    first_us: int = -1
    ended_us: int = -1
    matched: int = 0
    unread: int = 0
    outcome: str = ""

    @property
    def need(self) -> int:
        """Blocks for the whole input and output."""
        return -(-(self.request.input_tokens + self.request.output_tokens) // BLOCK_TOKENS)

    @property
    def cached_tokens(self) -> int:
        return min(self.matched * BLOCK_TOKENS, self.request.input_tokens - 1)


@dataclass(frozen=True, slots=True)
class Happened:
    """``first``: calls whose first token has come; ``ended``: calls that are complete, some of the first among them."""

    first: tuple[Call, ...]
    ended: tuple[Call, ...]


class Replica:
    def __init__(self, number: int, speed: Speed) -> None:
        self.number = number
        self.speed = speed
        self.memory = BlockMemory(speed.blocks)
        self.queue: deque[Call] = deque()
        self.reading: deque[Call] = deque()
        self.writing: list[tuple[int, int, Call]] = []
        self.steps = 0
        self.busy_us = 0
        self._began_us = 0
        self._leap = 0
        self._step_us = 0
        self._reads: list[tuple[Call, int]] = []

    @property
    def running(self) -> int:
        return len(self.reading) + len(self.writing)

    @property
    def working(self) -> bool:
        return self._leap > 0

    @property
    def idle(self) -> bool:
        return not (self._leap or self.queue or self.running)

    def begin(self, now_us: int) -> int | None:
        """Admit what there is room for and begin the next steps; when they end, or None where there is nothing to do."""
        self._admit(now_us)
        if not self.running:
            return None
        self._plan()
        self._step_us = self.speed.step_us(sum(tokens for _, tokens in self._reads), len(self.writing))
        self._began_us = now_us
        return now_us + self._leap * self._step_us

    def hurry(self, now_us: int) -> int | None:
        """A call has come to an empty queue: where only writing goes on, it ends with the step under way. The new end, or None."""
        if self._reads or self._leap <= 1 or len(self.queue) > 1 or self.running >= self.speed.batch_max:
            return None
        done = max(1, -(-(now_us - self._began_us) // self._step_us))
        if done >= self._leap:
            return None
        self._leap = done
        return self._began_us + done * self._step_us

    def finish(self, now_us: int) -> Happened:
        """The steps that ``begin`` planned are over."""
        self.steps += self._leap
        self.busy_us += now_us - self._began_us
        first: list[Call] = []
        ended: list[Call] = []
        for call, tokens in self._reads:
            call.unread -= tokens * self._leap
            if call.unread == 0:
                self.reading.popleft()
                self._read(call, now_us)
                first.append(call)
                if call.request.output_tokens <= 1:
                    ended.append(call)
                else:
                    heappush(self.writing, (self.steps + call.request.output_tokens - 1, call.number, call))
        while self.writing and self.writing[0][0] == self.steps:
            ended.append(heappop(self.writing)[2])
        for call in ended:
            call.ended_us, call.outcome = now_us, "completed"
            self.memory.release(call.request.blocks, call.need - len(call.request.blocks))
        self._leap = 0
        self._reads = []
        return Happened(tuple(first), tuple(ended))

    def _read(self, call: Call, now_us: int) -> None:
        call.first_us = now_us
        self.memory.share(call.request.blocks[call.matched :])

    def _admit(self, now_us: int) -> None:
        ahead = sum(call.unread for call in self.reading)
        while self.queue and self.running < self.speed.batch_max:
            if ahead >= self.speed.chunk if self.speed.chunk else ahead:
                return
            call = self.queue[0]
            matched = self.memory.reserve(call.request.blocks, call.need)
            if matched is None:
                return
            call.matched, call.admitted_us = matched, now_us
            call.unread = call.request.input_tokens - call.cached_tokens
            ahead += call.unread
            self.reading.append(self.queue.popleft())

    def _plan(self) -> None:
        """How many steps are alike from here, and what each reads."""
        chunk = self.speed.chunk
        most = self.writing[0][0] - self.steps if self.writing else 0
        if not self.reading:
            self._leap = most
            return
        head = self.reading[0]
        if chunk and head.unread > chunk:
            alike = (head.unread - 1) // chunk
            self._leap = min(alike, most) if most else alike
            self._reads = [(head, chunk)]
            return
        self._leap = 1
        left = chunk or head.unread
        for call in self.reading:
            tokens = min(left, call.unread)
            if not tokens:
                break
            self._reads.append((call, tokens))
            left -= tokens
