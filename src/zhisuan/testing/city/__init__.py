"""One seeded city: the real control plane and real site agents on one event loop, with time, network and faults drawn from a
seed. See README.md in this folder."""

from zhisuan.testing.city.city import City, Outcome, Step
from zhisuan.testing.city.scenario import Scenario, draw

__all__ = ["City", "Outcome", "Scenario", "Step", "draw"]
