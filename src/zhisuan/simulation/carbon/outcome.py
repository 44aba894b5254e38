"""What the policies came to, side by side with the bound."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from zhisuan.placement.deferral.types import Slot
from zhisuan.simulation.carbon.bound import Bound, lp_bound
from zhisuan.simulation.carbon.replay import Done, Told, agnostic, all_knowing, deferring, no_word
from zhisuan.simulation.carbon.seeing import AHEADS, Errors, Foreseen
from zhisuan.simulation.carbon.types import Case

POLICIES = ("agnostic", "forecast", "perfect")
UG_PER_KG = 10**9
HORIZON = 96


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one policy. ``ug`` is microgrammes of CO2, ``nano_yuan`` 10⁻⁹ yuan, ``objective`` what was to be small. ``missed`` are
    jobs that did not end before their deadline, ``unfinished`` those of them that did not end at all."""

    done: Done
    ug: int
    nano_yuan: int
    objective: int
    missed: tuple[str, ...]
    unfinished: int
    delay_hours: int
    stops: int
    moves: int

    def as_dict(self, jobs: int) -> dict[str, Any]:
        return {
            "kg_co2": round(self.ug / UG_PER_KG, 6),
            "cost_cny": round(self.nano_yuan / 10**9, 6),
            "deadlines_missed": len(self.missed),
            "missed": list(self.missed[:20]),
            "unfinished": self.unfinished,
            "delay_hours_mean": round(self.delay_hours / jobs, 3),
            "stops": self.stops,
            "moves": self.moves,
        }


@dataclass(frozen=True, slots=True)
class Compared:
    outcomes: dict[str, Outcome]
    bound: Bound
    errors: Errors

    def share_saved(self, policy: str) -> float | None:
        """(agnostic - policy) / (agnostic - LP): of what could be saved, what was. None where nothing could."""
        base = self.outcomes["agnostic"]
        room = base.objective - self.bound.least
        if not self.bound.feasible or room <= 0 or base.unfinished:
            return None
        return round((base.objective - self.outcomes[policy].objective) / room, 6)


def compare(case: Case, told: Told = no_word) -> Compared:
    foreseen = Foreseen(case.regions, case.objective, HORIZON)
    done = {
        "agnostic": agnostic(case),
        "forecast": deferring(case, foreseen, told),
        "perfect": deferring(case, all_knowing(case), told),
    }
    return Compared({name: judge(case, one) for name, one in done.items()}, lp_bound(case), foreseen.errors)


def judge(case: Case, done: Done) -> Outcome:
    cost = case.objective.of(case.regions.mg_per_kwh, case.regions.ucny_per_kwh)
    ug = nano = objective = delay = stops = moves = unfinished = 0
    missed = []
    for job in case.jobs:
        work, slots = job.work, done.get(job.work.id, [])
        for slot in slots:
            ug += work.watts * int(case.regions.mg_per_kwh[slot.region, slot.hour])
            nano += work.watts * int(case.regions.ucny_per_kwh[slot.region, slot.hour])
            objective += work.watts * int(cost[slot.region, slot.hour])
        if len(slots) < work.hours or slots[-1].hour >= work.deadline:
            missed.append(work.id)
        unfinished += len(slots) < work.hours
        if slots:
            delay += slots[-1].hour + 1 - work.earliest - work.hours
            stops += sum(b.hour != a.hour + 1 for a, b in itertools.pairwise(slots))
            moves += sum(b.region != a.region for a, b in itertools.pairwise(slots))
    return Outcome(done, ug, nano, objective, tuple(missed), unfinished, delay, stops, moves)


def document_of(case: Case, compared: Compared) -> dict[str, Any]:
    """Everything as one JSON object; the same for the same input."""
    count = np.maximum(compared.errors.count, 1)
    bound = compared.bound
    return {
        "simulated": True,
        "objective": {"name": case.objective.name, "fen_per_tonne": case.objective.fen_per_tonne},
        "regions": [{"name": n, "cards": int(c)} for n, c in zip(case.regions.names, case.regions.cards, strict=True)],
        "hours": case.regions.hours,
        "jobs": len(case.jobs),
        "policies": {name: one.as_dict(len(case.jobs)) for name, one in compared.outcomes.items()},
        "lp": {
            "feasible": bound.feasible,
            "objective_least": bound.least,
            "objective_reached": bound.reached,
            "rounds": bound.rounds,
            **({"kg_co2": round(bound.least / UG_PER_KG, 6)} if case.objective.name == "carbon" else {}),
        },
        "objective_by_policy": {name: one.objective for name, one in compared.outcomes.items()},
        "share_saved": {name: compared.share_saved(name) for name in POLICIES[1:]},
        "forecast_error_g_per_kwh": {
            f"{ahead}h": {
                "ours": round(float(compared.errors.ours[n] / count[n]) / 1000, 3),
                "same_hour_yesterday": round(float(compared.errors.yesterday[n] / count[n]) / 1000, 3),
            }
            for n, ahead in enumerate(AHEADS)
            if compared.errors.count[n]
        },
    }


def rows_of(case: Case, done: Done) -> list[dict[str, Any]]:
    """The plan of each job, as rows of a table: hours in a row in one region are one part."""
    rows = []
    for job in case.jobs:
        slots = done.get(job.work.id, [])
        rows.append(
            {
                "job": job.work.id,
                "arrival": f"{case.regions.time(job.arrival):%Y-%m-%dT%H:%MZ}",
                "deadline": f"{case.regions.time(job.work.deadline):%Y-%m-%dT%H:%MZ}",
                "hours": job.work.hours,
                "cards": job.work.cards,
                "kg_co2": round(
                    sum(job.work.watts * int(case.regions.mg_per_kwh[s.region, s.hour]) for s in slots) / UG_PER_KG, 6
                ),
                "in_time": bool(slots) and len(slots) == job.work.hours and slots[-1].hour < job.work.deadline,
                "runs": "|".join(_parts(case, slots)),
            }
        )
    return rows


def _parts(case: Case, slots: list[Slot]) -> list[str]:
    parts: list[tuple[Slot, int]] = []
    for slot in slots:
        if parts and slot == Slot(parts[-1][0].hour + parts[-1][1], parts[-1][0].region):
            parts[-1] = (parts[-1][0], parts[-1][1] + 1)
        else:
            parts.append((slot, 1))
    return [f"{case.regions.names[s.region]}@{case.regions.time(s.hour):%Y-%m-%dT%H:%MZ}+{n}h" for s, n in parts]
