"""In which order waiting work is tried. Work on demand always goes before spot work, as in the server; a policy orders each of the two.

A policy is a pure function of what waits; ties go to what came first, then to its number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zhisuan.base.text import Text
from zhisuan.simulation.city.types import Job


@dataclass(slots=True)
class Waiting:
    """A job that is not running: ``left_ppm_seconds`` of work on its first alternative are to be done yet, since ``since``."""

    number: int
    job: Job
    left: int
    since: int
    attempts: int = 0
    waited: int = 0


Shares = Mapping[str, int]
"""By organisation its dominant share now, in millionths."""


@dataclass(frozen=True, slots=True)
class Policy:
    """``key`` orders; where ``blocks``, nothing overtakes what stands first and finds no place."""

    name: str
    said: Text
    key: Callable[[Waiting, Shares], tuple[int, ...]]
    blocks: bool = False


def cards_wanted(job: Job) -> int:
    first = job.needs[0]
    return first.nodes * sum(count for _, count in first.accelerators)


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("fifo", Text("as they came; what fits may overtake", "按到达次序，放得下的可以先行"), lambda w, _: (w.job.at,)),
        Policy("strict", Text("as they came; nothing overtakes", "按到达次序，不得超越"), lambda w, _: (w.job.at,), blocks=True),
        Policy("shortest", Text("the shortest first (durations known)", "最短者优先（已知时长）"), lambda w, _: (w.left, w.job.at)),
        Policy("smallest", Text("the fewest cards first", "卡数最少者优先"), lambda w, _: (cards_wanted(w.job), w.job.at)),
        Policy("fair", Text("the organisation with the least dominant share first", "主导份额最低的组织优先"), lambda w, s: (s.get(w.job.org, 0), w.job.at)),
    )
}


def ordered(waiting: list[Waiting], policy: Policy, shares: Shares) -> list[Waiting]:
    return sorted(waiting, key=lambda w: (w.job.spot, *policy.key(w, shares), w.number))
