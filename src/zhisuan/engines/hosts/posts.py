"""The hosts as the head knows them: who is connected, what each said of itself, when each was last heard."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from zhisuan.engines.contract import ClusterNode, IsolationLevel
from zhisuan.engines.hosts.link import Link
from zhisuan.engines.hosts.messages import Introduction
from zhisuan.engines.hosts.registry import Registry

ANSWER_SECONDS = 4.0
"""A host takes an answer to its beat for a sign of the head's life only if it came within this time; so the head knows the
latest moment at which a silent host can have heard of it."""
_SKEW_MIN = timedelta(seconds=1)
_SKEW_SAID = timedelta(seconds=2)


@dataclass(slots=True)
class Post:
    """One connected host. ``skew``: how far its clock is before the head's."""

    hostname: str
    link: Link
    told: Introduction
    skew: timedelta


class Posts:
    """Used from the head's loop; ``nodes`` and ``told`` from any thread."""

    def __init__(
        self, registry: Registry, now: Callable[[], datetime], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._now = now
        self._steady = steady
        self._began = steady()
        self._heard: dict[str, tuple[float, datetime]] = {}
        self.connected: dict[str, Post] = {}
        self.told: dict[str, Introduction] = {
            name: member.told for name, member in registry.members().items() if member.told is not None
        }

    def introduce(self, hostname: str, link: Link, told: Introduction) -> Post:
        skew = told.now - self._now()
        post = Post(hostname, link, told, skew if abs(skew) >= _SKEW_MIN else timedelta(0))
        if self.told.get(hostname) != replace(told, now=self.told[hostname].now if hostname in self.told else told.now):
            self._registry.told(hostname, told)
        self.told[hostname] = told
        self.connected[hostname] = post
        self.hear(hostname)
        return post

    def hear(self, hostname: str) -> None:
        self._heard[hostname] = (self._steady(), self._now())

    def left(self, post: Post) -> None:
        if self.connected.get(post.hostname) is post:
            del self.connected[post.hostname]

    def silent_seconds(self, hostname: str) -> float:
        """For how long the host can have heard nothing of the head; counted from the head's own beginning at the latest."""
        if hostname in self.connected:
            return 0.0
        return self._steady() - self._heard.get(hostname, (self._began, None))[0] - ANSWER_SECONDS

    def last_sign(self, hostname: str) -> datetime | None:
        return self._heard[hostname][1] if hostname in self._heard else None

    def grace_seconds(self, hostname: str) -> int:
        return self.told[hostname].timeout_grace_seconds if hostname in self.told else 10

    def orphan_seconds(self, hostname: str) -> int:
        return self.told[hostname].orphan_grace_seconds if hostname in self.told else 1 << 31

    def nodes(self, *, allow_unisolated: bool) -> tuple[ClusterNode, ...]:
        """All hosts of the site that have ever said what they are; of those that cannot be used, why."""
        found = []
        for name in sorted(self._registry.members()):
            told = self.told.get(name)
            if told is not None:
                note = self._note(name, told, allow_unisolated)
                found.append(replace(told.node, hostname=name, usable=not note, note=note))
        return tuple(found)

    def _note(self, name: str, told: Introduction, allow_unisolated: bool) -> str:
        """Why nothing is started there now, in both languages; empty where there is no reason."""
        if name not in self.connected:
            return "The host's daemon is not connected to the site. 该主机的守护进程未连接到站点。"
        if told.report.isolation is IsolationLevel.none and not (allow_unisolated and told.allow_unisolated):
            return "The host cannot isolate work, and its operator or the site's does not allow it unisolated. 该主机无法隔离作业，且未被允许在无隔离下运行。"
        return ""

    def skewed(self) -> dict[str, timedelta]:
        return {name: post.skew for name, post in self.connected.items() if abs(post.skew) >= _SKEW_SAID}
