"""A batch from a JSON file. Everything that is wrong with it is named at once; nothing is guessed."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.placement.batch.types import BatchJob, Problem, Site, Weights, Wish
from zhisuan.simulation.rows import open_text, unreadable

Count = Annotated[int, Field(ge=0, le=10**9)]
Some = Annotated[int, Field(ge=1, le=10**9)]
Money = Annotated[int, Field(ge=0, le=10**13)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SiteFile(_Strict):
    id: Annotated[str, Field(min_length=1)]
    provider: str = ""
    region: str = ""
    device_class: str
    cards: list[Count]
    price_ucny: list[Money]
    carbon_mg: list[Money]
    cards_per_node: Some
    gang_nodes_max: Some = 1


class JobFile(_Strict):
    id: Annotated[str, Field(min_length=1)]
    milli_slots: Some
    nodes: Some = 1
    cards_per_node: Some = 1
    rates: dict[str, Some]
    release: Count = 0
    due: Count | None = None
    deadline: Count | None = None
    value_ucny: Money
    price_percent: Annotated[int, Field(ge=1, le=100)] = 100
    allow: list[str] = []
    deny: list[str] = []
    regions: list[str] = []


class WeightsFile(_Strict):
    carbon_ucny_per_kg: Money = 100_000
    late_ucny: Money = 500_000


class ProblemFile(_Strict):
    slots: Annotated[int, Field(ge=1, le=1000)]
    sites: Annotated[list[SiteFile], Field(min_length=1)]
    jobs: Annotated[list[JobFile], Field(min_length=1)]
    weights: WeightsFile = WeightsFile()


def read_problem(path: Path) -> Problem:
    """Raises InvalidInput with every problem and where it is."""
    with open_text(path) as file:
        try:
            text = file.read()
        except UnicodeDecodeError as error:
            raise unreadable(path, str(error)) from error
    try:
        read = ProblemFile.model_validate_json(text)
    except ValidationError as error:
        raise _refused(path, [(_where(e["loc"]), e["msg"]) for e in error.errors()]) from error
    wrong = _inconsistent(read)
    if wrong:
        raise _refused(path, wrong)
    sites = tuple(
        Site(
            s.id,
            s.provider,
            s.region,
            s.device_class,
            tuple(s.cards),
            tuple(s.price_ucny),
            tuple(s.carbon_mg),
            s.cards_per_node,
            s.gang_nodes_max,
        )
        for s in read.sites
    )
    jobs = tuple(BatchJob(job.id, _wish(job, read.slots)) for job in read.jobs)
    return Problem(sites, jobs, read.slots, Weights(read.weights.carbon_ucny_per_kg, read.weights.late_ucny))


def _wish(job: JobFile, slots: int) -> Wish:
    deadline = slots if job.deadline is None else min(job.deadline, slots)
    due = deadline if job.due is None else job.due
    rates = tuple(sorted(job.rates.items()))
    sets = (frozenset(names) for names in (job.allow, job.deny, job.regions))
    return Wish(
        job.milli_slots,
        job.nodes,
        job.cards_per_node,
        rates,
        job.release,
        due,
        deadline,
        job.value_ucny,
        job.price_percent,
        *sets,
    )


def _where(place: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in place)


def _inconsistent(read: ProblemFile) -> list[tuple[str, str]]:
    wrong = []
    for name, ids in (("sites", [site.id for site in read.sites]), ("jobs", [job.id for job in read.jobs])):
        again = [number for number, one in enumerate(ids) if ids.index(one) < number]
        wrong += [(f"{name}.{number}.id", f"{ids[number]} is there already") for number in again]
    for number, site in enumerate(read.sites):
        for field in ("cards", "price_ucny", "carbon_mg"):
            if len(getattr(site, field)) != read.slots:
                wrong.append(
                    (f"sites.{number}.{field}", f"has {len(getattr(site, field))} numbers for {read.slots} slots")
                )
    return wrong


def _refused(path: Path, wrong: list[tuple[str, str]]) -> InvalidInput:
    first = f"{wrong[0][0]}: {wrong[0][1]}"
    return InvalidInput(
        Text(
            f"{path} has {len(wrong)} problems; the first: {first}.",
            f"{path} 有 {len(wrong)} 处问题；第一处：{first}。",
        ),
        Text(
            "Mend what is named; docs/benchmarks/batch.md has the fields.",
            "请修正所列问题；字段见 docs/benchmarks/batch.md。",
        ),
        code="problem_invalid",
        problems=[FieldProblem(where, Text(what, f"无效：{what}")) for where, what in wrong],
    )
