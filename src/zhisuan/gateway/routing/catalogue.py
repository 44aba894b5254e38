"""All policies by name: what a configuration or ``--routing`` may say."""

from collections.abc import Callable

from zhisuan.gateway.routing.affinity import PrefixAffinity
from zhisuan.gateway.routing.aware import PrefixAware
from zhisuan.gateway.routing.policies import Chance, LeastInFlight, Policy, PowerOfTwo, Random, RoundRobin

POLICIES: dict[str, Callable[[Chance], Policy]] = {
    "random": Random,
    "round-robin": lambda chance: RoundRobin(),
    "least-in-flight": lambda chance: LeastInFlight(),
    "power-of-two": PowerOfTwo,
    "prefix-affinity": lambda chance: PrefixAffinity(),
    "zhisuan": lambda chance: PrefixAware(),
}
