"""One scenario, run and judged."""

import random
from pathlib import Path

from zhisuan.app.bootstrap import prepare
from zhisuan.app.installation import Secrets
from zhisuan.app.reconcilers import STEPS
from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.money import Money
from zhisuan.ledger import service as ledger
from zhisuan.tenancy import service as tenancy
from zhisuan.testing.city import City, Scenario
from zhisuan.testing.city.checks import all_problems, capacity, ready
from zhisuan.testing.city.city import Outcome, People
from zhisuan.testing.city.loop import virtual_loop
from zhisuan.testing.database import START, TestServer

PERIODS = {
    "place": 10.0,
    "rate": 35.0,
    "credit": 60.0,
    "stop": 75.0,
    "silences": 75.0,
    "lose": 25.0,
    "recalls": 15.0,
    "output": 45.0,
    "heard": 2.0,
}
STEPS_RUN = tuple((s.name, PERIODS.get(s.name, s.every_seconds), s.run) for s in STEPS if s.name in PERIODS)
TEMPLATE = "template_city"


def fill(database: Database) -> People:
    """The people of every scenario, once: hashing their passwords takes longer than a scenario."""
    prepare(database, Secrets("gateway", "storage", "correct horse battery"))
    with database.begin("set-up") as tx:
        made = [
            tenancy.sign_up(
                tx, kind=kind, org_name=name, email=f"{name}@example.cn", name=name, password="correct horse battery"
            )
            for kind, name in (("tenant", "rich"), ("tenant", "poor"), ("provider", "provider"))
        ]
        for org, yuan in ((made[0], "100000"), (made[1], "0.01")):
            ledger.top_up(tx, org.org_id, Money.yuan(yuan), "test", org.org_id, "operator")
    rich, poor, provider = made
    return People(rich.key.secret, poor.key.secret, rich.org_id, poor.org_id, provider.org_id)


def build_template(postgres: TestServer) -> People:
    clock = ManualClock(START)
    with postgres.template(TEMPLATE) as url:
        database = Database(url, clock, TimeOrderedIds(clock, random.Random(1).getrandbits))
        try:
            return fill(database)
        finally:
            database.close()


def play(scenario: Scenario, postgres: TestServer, people: People, folder: Path) -> tuple[Outcome, list[str]]:
    """Run one scenario on a database of its own; what it left and what is wrong with it."""
    with postgres.database(template=TEMPLATE) as fresh, virtual_loop() as loop:

        def inspect(city: City) -> list[str]:
            with city.database.begin() as tx:
                return capacity(tx) + ready(tx, city.runs, city.loop.time())

        city = City(
            scenario, url=fresh.url, people=people, folder=folder, start=START, loop=loop, steps=STEPS_RUN, inspect=inspect,
        )  # fmt: skip
        found = loop.run_until_complete(city.run())
        try:
            return found, all_problems(city.database, found)
        finally:
            city.database.close()


def told(scenario: Scenario, found: Outcome, problems: list[str]) -> str:
    """What a person needs to see why a seed fails."""
    return "\n".join([str(scenario), "", *found.story, "", *(f"WRONG: {p}" for p in problems)])
