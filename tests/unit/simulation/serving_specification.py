"""One replica, plain and slow: step after step and token after token, over lists. What `replica.py` and `blocks.py` do by events."""

from dataclasses import dataclass, field

from zhisuan.simulation.serving.replica import Speed
from zhisuan.simulation.serving.requests import Request


@dataclass
class Plain:
    request: Request
    number: int
    matched: int = 0
    read: int = 0
    written: int = 0
    first_us: int = -1
    ended_us: int = -1

    @property
    def blocks(self) -> int:
        return -(-(self.request.input_tokens + self.request.output_tokens) // 512)


@dataclass
class PlainReplica:
    speed: Speed
    running: list[Plain] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    """Every prefix block in memory, the one to go first at the front."""

    def pinned(self) -> set[int]:
        names: set[int] = set()
        for call in self.running:
            names.update(call.request.blocks if call.first_us >= 0 else call.request.blocks[: call.matched])
        return names

    def private(self) -> int:
        return sum(
            call.blocks - (len(call.request.blocks) if call.first_us >= 0 else call.matched) for call in self.running
        )

    def admit(self, call: Plain) -> bool:
        matched = 0
        for name in call.request.blocks:
            if name not in self.kept:
                break
            matched += 1
        pinned = self.pinned() | set(call.request.blocks[:matched])
        new = call.blocks - matched
        if len(pinned) + self.private() + new > self.speed.blocks:
            return False
        call.matched = matched
        call.read = min(matched * 512, call.request.input_tokens - 1)
        self.running.append(call)
        while len(self.kept) + self.private() > self.speed.blocks:
            self.kept.remove(next(name for name in self.kept if name not in pinned))
        return True

    def leave(self, call: Plain) -> None:
        self.running.remove(call)
        pinned = self.pinned()
        for name in reversed(call.request.blocks):
            if name not in pinned:
                self.kept.remove(name)
                self.kept.append(name)


def replay_plainly(requests: list[Request], speed: Speed) -> list[Plain]:
    calls = [Plain(request, number) for number, request in enumerate(requests)]
    queue, replica, now = list(calls), PlainReplica(speed), 0
    while queue or replica.running:
        if not replica.running and queue[0].request.at_us > now:
            now = queue[0].request.at_us
        reading = [call for call in replica.running if call.first_us < 0]
        left = sum(call.request.input_tokens - call.read for call in reading)
        while queue and queue[0].request.at_us <= now and len(replica.running) < speed.batch_max:
            if left >= speed.chunk or not replica.admit(queue[0]):
                break
            call = queue.pop(0)
            reading.append(call)
            left += call.request.input_tokens - call.read
        room, total = speed.chunk, 0
        writing = [call for call in replica.running if call.first_us >= 0]
        for call in reading:
            tokens = min(room, call.request.input_tokens - call.read)
            call.read += tokens
            room, total = room - tokens, total + tokens
        now += speed.step_us(total, len(writing))
        for call in reading:
            if call.read == call.request.input_tokens:
                call.first_us, call.written = now, 1
                replica.kept += [name for name in call.request.blocks if name not in replica.kept]
        for call in writing:
            call.written += 1
        done = [call for call in replica.running if call.first_us >= 0 and call.written >= call.request.output_tokens]
        newly = [call for call in reading if call in done]
        order = {id(call): place for place, call in enumerate([c for c in newly if c.request.output_tokens <= 1])}
        for call in sorted(done, key=lambda call: (order.get(id(call), len(calls)), call.number)):
            call.ended_us = now
            replica.leave(call)
    return calls
