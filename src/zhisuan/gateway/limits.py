"""How many calls may run at once: in this gateway, and for one key."""

from collections.abc import Iterator
from contextlib import contextmanager

from zhisuan.gateway.errors import too_many_calls, too_many_of_key


class CallLimits:
    def __init__(self, *, calls_max: int, calls_per_key_max: int) -> None:
        self._calls_max = calls_max
        self._calls_per_key_max = calls_per_key_max
        self._of_key: dict[str, int] = {}
        self.running = 0

    @contextmanager
    def one_call(self, key_id: str) -> Iterator[None]:
        """Room for one call of ``key_id`` inside ``with``; ``ApiError`` 503 when the gateway is full, 429 when the key
        has all it may have."""
        if self.running >= self._calls_max:
            raise too_many_calls()
        of_key = self._of_key.get(key_id, 0)
        if of_key >= self._calls_per_key_max:
            raise too_many_of_key(self._calls_per_key_max)
        self._of_key[key_id] = of_key + 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            left = self._of_key[key_id] - 1
            if left:
                self._of_key[key_id] = left
            else:
                del self._of_key[key_id]
