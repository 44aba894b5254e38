"""A city written as the tables it is read from, so that it can be looked at and changed."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.simulation.city.reading import HOURS, LINKS, NODES, ORGS, SITES
from zhisuan.simulation.city.types import City, Job
from zhisuan.simulation.city.work import JOB_COLUMNS


def files_of(city: City) -> dict[str, str]:
    """By name of the file its text; ``prices.yaml`` only where the city has prices of its own."""
    sites = [
        (s.name, s.provider, s.region, decimal_text(s.latitude_e6, 6), decimal_text(s.longitude_e6, 6), decimal_text(s.pue_milli, 3),
         s.gang_nodes_max, s.opens, s.closes, s.tariff, s.carbon or "")
        for s in city.sites
    ]  # fmt: skip
    nodes = [(s.name, g.count, g.cores, g.memory_mib >> 10, g.class_id or "", g.cards) for s in city.sites for g in s.groups]
    hours = {(s.tariff, "yuan/kWh", 6): s.tariff_ucny_per_kwh for s in city.sites}
    hours |= {(s.carbon, "g/kWh", 3): s.grid_g_per_mwh for s in city.sites if s.carbon is not None}
    profiles = [(name, unit, *(decimal_text(v, places) for v in values)) for (name, unit, places), values in sorted(hours.items())]
    links = [(a, b, decimal_text(us, 3)) for (a, b), us in sorted(city.links_us.items())]
    made = {
        "sites.csv": _table(SITES, sites), "nodes.csv": _table(NODES, nodes), "hours.csv": _table(HOURS, profiles),
        "links.csv": _table(LINKS, links), "orgs.csv": _table(ORGS, sorted(city.homes.items())), "jobs.csv": _table(JOB_COLUMNS, map(_job, city.jobs)),
    }  # fmt: skip
    return made | ({"prices.yaml": city.price_text} if city.price_text is not None else {})


def _job(job: Job) -> tuple[Any, ...]:
    first = job.needs[0]
    cards = "|".join("".join(f"{name}:{count}" for name, count in need.accelerators) for need in job.needs)
    near = "" if job.within_us is None else decimal_text(job.within_us, 3)
    cpus, memory = decimal_text(first.cpus_milli, 3), first.memory_mib >> 10
    return job.name, job.org, job.at, job.seconds, first.nodes, cpus, memory, cards, "yes" if job.spot else "no", near


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
