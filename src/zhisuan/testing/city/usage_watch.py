"""How an agent hands in its usage: the oldest first, and nothing again that it has heard was taken."""

from collections.abc import Callable

import orjson


class UsageWatch:
    """Of one process of one agent. ``complain`` is told what it should not have done."""

    def __init__(self, name: str, complain: Callable[[str], None]) -> None:
        self._name = name
        self._complain = complain
        self._taken: set[str] = set()

    def sends(self, body: bytes) -> None:
        windows = orjson.loads(body)["windows"]
        order = [(w["start"], w["id"]) for w in windows]
        if order != sorted(order):
            self._complain(f"{self._name} hands in usage out of order")
        for ident in self._taken.intersection(w["id"] for w in windows):
            self._complain(f"{self._name} hands in {ident} again, which it knows was taken")

    def heard(self, body: bytes, answer: bytes) -> None:
        later = set(orjson.loads(answer).get("retry", ()))
        self._taken.update(w["id"] for w in orjson.loads(body)["windows"] if w["id"] not in later)
