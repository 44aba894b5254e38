"""Replaying work that can wait: the bound against a plain linear program, no look at the future, files with bad rows, the command."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import highspy
import numpy as np
import pytest
from typer.testing import CliRunner

from zhisuan.app.simulate.carbon import carbon
from zhisuan.base.errors import InvalidInput
from zhisuan.base.solver import Solver
from zhisuan.simulation.carbon.bound import lp_bound
from zhisuan.simulation.carbon.files import read_jobs, read_regions
from zhisuan.simulation.carbon.made import SHAPES, Load, made_jobs, made_regions
from zhisuan.simulation.carbon.outcome import compare, document_of, judge
from zhisuan.simulation.carbon.replay import all_knowing, deferring
from zhisuan.simulation.carbon.seeing import Foreseen
from zhisuan.simulation.carbon.types import Case, Objective
from zhisuan.simulation.rows import Skips

PROFILES = Path(__file__).parents[4] / "shared/data/green/hourly_profiles_us_2022.csv"
CARBON = Objective("carbon")


def case_of(
    shape: str, cards: int, seed: int, *, jobs: int = 40, slack: int = 12, objective: Objective = CARBON
) -> Case:
    regions = made_regions(shape, 2, 24 * 14, cards, seed)
    return Case(regions, tuple(made_jobs(regions, Load(jobs, 24 * 9, 48, slack, cards_max=4), seed)), objective)


def plain_lp(case: Case) -> float | None:
    """The textbook program, every variable written out: a fraction of each hour, or of each start where a job runs unbroken."""
    cost = case.objective.of(case.regions.mg_per_kwh, case.regions.ucny_per_kwh)
    solver = Solver()
    capacity: dict[tuple[int, int], list[tuple[int, int]]] = {}
    columns = 0
    rows: list[tuple[float, float, list[tuple[int, float]]]] = []

    def column(value: float, most: float) -> int:
        nonlocal columns
        solver.addCol(value, 0.0, most, 0, np.zeros(0, np.int32), np.zeros(0))
        columns += 1
        return columns - 1

    for job in case.jobs:
        work, total = job.work, []
        for hour in range(work.earliest, work.deadline if work.interruptible else work.deadline - work.hours + 1):
            length = 1 if work.interruptible else work.hours
            here = []
            for region in work.regions:
                x = column(float(work.watts * cost[region, hour : hour + length].sum()), 1.0)
                here.append((x, 1.0))
                for k in range(length):
                    capacity.setdefault((region, hour + k), []).append((x, work.cards))
            rows.append((-highspy.kHighsInf, 1.0, here))
            total += here
        rows.append((need := float(work.hours if work.interruptible else 1), need, total))
    rows += [(-highspy.kHighsInf, float(case.regions.cards[region]), parts) for (region, _), parts in capacity.items()]
    for low, high, parts in rows:
        solver.addRow(
            low, high, len(parts), np.array([p[0] for p in parts], np.int32), np.array([p[1] for p in parts], float)
        )
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return float(solver.getInfo().objective_function_value)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cards", [4, 7, 100])
def test_the_bound_is_the_optimum_of_the_plain_linear_program(shape: str, cards: int) -> None:
    case = case_of(shape, cards, 3)
    bound, plain = lp_bound(case), plain_lp(case)
    assert bound.feasible is (plain is not None)
    if plain is not None:
        assert bound.least <= plain * (1 + 1e-7)
        assert bound.least >= plain * (1 - 1e-4) and bound.reached == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("objective", [CARBON, Objective("cost"), Objective("mix", 10_000)])
def test_no_policy_beats_the_bound_and_capacity_is_kept(objective: Objective) -> None:
    case = case_of("mixed", 9, 5, objective=objective)
    compared = compare(case)
    for name, outcome in compared.outcomes.items():
        use = np.zeros_like(case.regions.mg_per_kwh)
        for job in case.jobs:
            for slot in outcome.done[job.work.id]:
                use[slot.region, slot.hour] += job.work.cards
                assert slot.region in job.work.regions and job.work.earliest <= slot.hour
        assert (use <= case.regions.cards[:, None]).all(), name
        assert not outcome.unfinished and outcome.objective >= compared.bound.least, name
    assert not compared.outcomes["forecast"].missed
    assert compared.outcomes["perfect"].objective < compared.outcomes["agnostic"].objective


@pytest.mark.parametrize("hour", [24 * 9 + 10, 24 * 10])
def test_a_poisoned_future_changes_no_decision_before_it(hour: int) -> None:
    case = case_of("wind", 7, 2)
    poisoned = case.regions.mg_per_kwh.copy()
    poisoned[:, hour:] = np.random.default_rng(0).integers(0, 10**7, poisoned[:, hour:].shape)
    other = replace(case, regions=replace(case.regions, mg_per_kwh=poisoned))

    def before(one: Case) -> dict[str, list[object]]:
        done = deferring(one, Foreseen(one.regions, one.objective, 48))
        return {name: [s for s in slots if s.hour <= hour] for name, slots in done.items() if slots[0].hour <= hour}

    def interruptible(one: Case) -> set[str]:
        return {job.work.id for job in one.jobs if job.work.interruptible}

    loose = interruptible(case)
    clean, dirty = before(case), before(other)
    assert clean.keys() == dirty.keys()
    assert all(clean[n] == dirty[n] for n in clean if n in loose)
    assert all(clean[n][0] == dirty[n][0] for n in clean)


def test_with_ample_cards_and_the_future_known_it_is_the_optimum() -> None:
    case = case_of("solar", 10_000, 1)
    done = judge(case, deferring(case, all_knowing(case)))
    assert done.objective == lp_bound(case).least and not done.missed


def test_the_same_seed_gives_the_same_document() -> None:
    one, two = (document_of(c, compare(c)) for c in (case_of("noisy", 8, 4), case_of("noisy", 8, 4)))
    assert json.dumps(one) == json.dumps(two)


def test_too_few_cards_are_said() -> None:
    case = case_of("flat", 4, 1, jobs=90, slack=2)
    compared = compare(case)
    assert not compared.bound.feasible and compared.share_saved("forecast") is None
    assert compared.outcomes["forecast"].missed and compared.outcomes["agnostic"].missed


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["solar", "mixed", "flat"])
def test_four_fifths_of_what_could_be_saved_is_saved_with_forecasts(shape: str) -> None:
    regions = made_regions(shape, 3, 24 * 45, 200, 11)
    case = Case(regions, tuple(made_jobs(regions, Load(120, 24 * 28, 24 * 7, 24), 11)), CARBON)
    compared = compare(case)
    share = compared.share_saved("forecast")
    assert share is not None and share >= 0.8 and not compared.outcomes["forecast"].missed


def written(path: Path, head: str, *lines: str) -> Path:
    path.write_text("\n".join((head, *lines)) + "\n")
    return path


HEAD = "zone,timestamp,ci_g_per_kwh"


def hours_of(zone: str, count: int, value: str = "100") -> list[str]:
    return [f"{zone},2024-01-{1 + h // 24:02}T{h % 24:02}:00:00Z,{value}" for h in range(count)]


def test_bad_rows_of_hours_are_named_and_gaps_take_the_hour_before(tmp_path: Path) -> None:
    lines = hours_of("a", 30)
    lines[3], lines[5], lines[7] = "a,2024-01-01T03:00:00Z,-4", "a,2024-01-01T05:00:00Z,NaN", "a,2024-01-01T07:30:00Z,9"
    skips = Skips()
    read = read_regions(
        written(tmp_path / "i.csv", HEAD, *lines, lines[0], *hours_of("b", 29, "7.5")), None, None, 5, skips
    )
    assert read.regions.names == ("a", "b") and read.regions.hours == 29 and read.filled == {"a": 3, "b": 0}
    assert skips.count == 4 and {s.line for s in skips.first} == {5, 7, 9, 32}
    assert "negative" in skips.first[0].reason.en and "为负数" in skips.first[0].reason.zh
    assert read.regions.mg_per_kwh[1, 0] == 7500 and read.regions.cards.tolist() == [5, 5]


@pytest.mark.parametrize(
    "lines, code",
    [
        ([], "no_regions"),
        (["a,yesterday,3"], "no_regions"),
        ([*hours_of("a", 2), "a,2024-01-02T00:00:00Z,5"], "hours_missing"),
        (["a,2024-01-01T00:00:00Z,5", "b,2024-01-03T00:00:00Z,5"], "no_common_hours"),
    ],
)
def test_hours_that_cannot_be_used_are_refused(tmp_path: Path, lines: list[str], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_regions(written(tmp_path / "i.csv", HEAD, *lines), None, None, 5, Skips())
    assert refused.value.code == code


def test_sizes_pue_and_tariffs(tmp_path: Path) -> None:
    hours = written(tmp_path / "i.csv", HEAD, *hours_of("a", 24), *hours_of("b", 24))
    sizes = written(tmp_path / "r.csv", "zone,cards,pue", "a,3,1.2", "c,9,0.5")
    tariffs = written(tmp_path / "t.csv", "zone,timestamp,cny_per_kwh", *hours_of("a", 24, "-0.05"))
    skips = Skips()
    read = read_regions(hours, tariffs, sizes, 5, skips)
    assert read.regions.names == ("a",) and read.regions.cards.tolist() == [3] and skips.count == 1
    assert read.regions.mg_per_kwh[0, 0] == 120_000 and read.regions.ucny_per_kwh[0, 0] == -60_000
    with pytest.raises(InvalidInput, match="No tariff is given for b"):
        read_regions(hours, tariffs, None, 5, skips)


def test_jobs_that_no_region_can_end_in_time_are_skipped_and_named(tmp_path: Path) -> None:
    regions = replace(made_regions("flat", 2, 48, 4, 0), names=("a", "b"))
    day = f"{regions.first:%Y-%m-%d}"
    path = written(
        tmp_path / "j.csv",
        "job,arrival,hours,cards,deadline,interruptible,regions,home,not_before",
        f"ok,{day}T01:20:00Z,2.5,2,{day}T10:40:00Z,yes,b|a,,{day}T03:00:00Z",
        f"late,{day}T01:00:00Z,5,1,{day}T05:00:00Z,no,,,",
        f"wide,{day}T01:00:00Z,1,5,{day}T09:00:00Z,no,,,",
        f"where,{day}T01:00:00Z,1,1,{day}T09:00:00Z,no,x,,",
        f"ok,{day}T01:00:00Z,1,1,{day}T09:00:00Z,no,a,,",
        f"home,{day}T01:00:00Z,1,1,{day}T09:00:00Z,no,a,b,",
        f"maybe,{day}T01:00:00Z,1,1,{day}T09:00:00Z,perhaps,a,,",
        f"before,2020-01-01T01:00:00Z,1,1,{day}T09:00:00Z,no,a,,",
    )
    skips = Skips()
    (job,) = read_jobs(path, regions, 400, skips)
    assert (job.arrival, job.work.earliest, job.work.hours, job.work.deadline, job.work.watts, job.home) == (
        2,
        3,
        3,
        10,
        800,
        1,
    )
    said = " ".join(one.reason.en for one in skips.first)
    assert skips.count == 7
    for words in ("deadline cannot be kept", "has 5 cards", "no such region: x", "there already", "home is not among", "neither yes nor no", "before the first hour"):  # fmt: skip
        assert words in said


def run(*args: str) -> str:
    import typer

    app = typer.Typer()
    app.command()(carbon)
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_twice_gives_the_same_bytes_and_files(tmp_path: Path) -> None:
    args = ("--shape", "solar", "--count", "20", "--days", "2", "--seed", "3", "--json", "--cards", "8")
    first = run(*args, "--out", str(tmp_path / "a"), "--plot", str(tmp_path / "a.svg"))
    second = run(*args, "--out", str(tmp_path / "b"), "--plot", str(tmp_path / "b.svg"))
    result = json.loads(first)
    assert first == second and result["policies"]["forecast"]["deadlines_missed"] == 0
    for name in ("result.json", "plan-agnostic.csv", "plan-forecast.csv", "plan-perfect.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    rows = list(csv.DictReader((tmp_path / "a/plan-forecast.csv").read_text().splitlines()))
    assert len(rows) == result["jobs"]
    assert sum(float(row["kg_co2"]) for row in rows) == pytest.approx(
        result["policies"]["forecast"]["kg_co2"], abs=1e-3
    )


def test_the_command_shows_a_table() -> None:
    shown = run("--shape", "flat", "--count", "5", "--days", "1")
    assert "at once" in shown and "LP bound" in shown and "Forecast 1h ahead" in shown


@pytest.mark.parametrize(
    "args, code",
    [
        (("--objective", "joy"), "objective_unknown"),
        (("--shape", "round"), "shape_unknown"),
        (("--intensity", "/nowhere"), "file_unreadable"),
        (("--count", "2", "--days", "1", "--plot", "x.doc"), "picture_kind"),
    ],
)
def test_what_cannot_be_done_is_refused(args: tuple[str, ...], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        run(*args)
    assert refused.value.code == code


@pytest.mark.slow
def test_the_american_profiles_work_as_they_are() -> None:
    if not PROFILES.exists():
        pytest.skip("the profiles are not here")
    result = json.loads(run("--intensity", str(PROFILES), "--count", "40", "--days", "3", "--json"))
    assert result["skipped"]["count"] == 3 and result["filled_hours"]["CISO"] == 3
    assert result["share_saved"]["forecast"] > 0.8 and result["policies"]["forecast"]["deadlines_missed"] == 0
