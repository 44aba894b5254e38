"""The tables of a city: written and read back the same; all that is wrong is told with its place; what-if; the command."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from zhisuan.app.simulate.city import city as command
from zhisuan.base.errors import InvalidInput
from zhisuan.simulation.city.making import Size, make_city, make_jobs
from zhisuan.simulation.city.policies import POLICIES
from zhisuan.simulation.city.reading import light_us, read_city
from zhisuan.simulation.city.saving import files_of
from zhisuan.simulation.city.types import City
from zhisuan.simulation.city.variants import read_variants, with_settings
from zhisuan.simulation.city.work import TraceTerms, read_trace
from zhisuan.simulation.rows import Skips

SIZE = Size(4, 40, 3, 60, 12, 90)


def made(seed: int = 1) -> City:
    return make_jobs(make_city(SIZE, seed), SIZE, seed)


def save(city: City, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files_of(city).items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("seed", range(5))
def test_a_city_is_read_back_as_it_was_written(tmp_path: Path, seed: int) -> None:
    assert read_city(save(made(seed), tmp_path)) == made(seed)


def test_what_is_made_asks_for_the_load_and_has_the_devices() -> None:
    size = Size(30, 3000, 5, 3000, 48, 70)
    city = make_jobs(make_city(size, 9), size, 9)
    assert sum(g.count * g.cards for s in city.sites for g in s.groups) == 3000
    asked = sum(j.seconds * j.needs[0].nodes * sum(n for _, n in j.needs[0].accelerators) for j in city.jobs)
    assert abs(asked / (3000 * 48 * 3600) - 0.7) < 0.01
    assert [job.at for job in city.jobs] == sorted(job.at for job in city.jobs)


def edit(file: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_text(change((folder / file).read_text())) and None


def cell(row: int, column: int, value: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        lines = text.splitlines()
        cells = lines[row].split(",")
        cells[column] = value
        return "\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]]) + "\n"

    return change


WRONG = {
    "negative nodes": (edit("nodes.csv", cell(1, 1, "-4")), "nodes.csv:2 nodes", "is -4"),
    "no cores": (edit("nodes.csv", cell(1, 2, "0")), "nodes.csv:2 cores", "is 0"),
    "unknown class": (edit("nodes.csv", cell(1, 4, "nvidia-z9")), "nodes.csv:2 class", "no class of cards 'nvidia-z9'"),
    "unrated class": (edit("nodes.csv", cell(1, 4, "cpu-core")), "nodes.csv:2 class", "no class of cards"),
    "NaN tariff": (edit("hours.csv", cell(1, 5, "nan")), "hours.csv:2 h03", "is not a number: 'nan'"),
    "infinite PUE": (edit("sites.csv", cell(2, 5, "inf")), "sites.csv:3 pue", "is not a number: 'inf'"),
    "PUE under one": (edit("sites.csv", cell(2, 5, "0.9")), "sites.csv:3 pue", "is 0.9"),
    "off the earth": (edit("sites.csv", cell(1, 3, "91")), "sites.csv:2 latitude", "is 91"),
    "no profile": (edit("sites.csv", cell(1, 9, "nightly")), "sites.csv:2 tariff", "no profile 'nightly'"),
    "never open": (edit("sites.csv", lambda t: cell(1, 8, "3")(cell(1, 7, "3")(t))), "sites.csv:2 closes", "closes when it opens"),
    "a site twice": (edit("sites.csv", lambda t: t + t.splitlines()[1] + "\n"), "sites.csv:6 site", "is also at sites.csv:2"),
    "an empty site": (edit("nodes.csv", lambda t: t.splitlines()[0] + "\n"), "sites.csv:2 site", "has no nodes"),
    "no sites": (edit("sites.csv", lambda t: t.splitlines()[0] + "\n"), "sites.csv", "there is no site"),
    "a missing column": (edit("orgs.csv", lambda t: t.replace("home", "house", 1)), "orgs.csv:1", "the columns must be org,home"),
    "a short row": (edit("orgs.csv", lambda t: t + "alone\n"), "orgs.csv:5", "has 1 fields instead of 2"),
    "a home nowhere": (edit("orgs.csv", cell(1, 1, "atlantis")), "orgs.csv:2 home", "there is no site 'atlantis'"),
    "faster than light": (edit("links.csv", cell(1, 2, "0.001")), "links.csv:2 one_way_ms", "light in fibre takes"),
    "a stranger's job": (edit("jobs.csv", cell(1, 1, "nobody")), "jobs.csv:2 org", "nobody is not in orgs.csv"),
    "no time": (edit("jobs.csv", cell(1, 3, "0")), "jobs.csv:2 seconds", "is 0"),
    "cards in words": (edit("jobs.csv", cell(1, 7, "two A100")), "jobs.csv:2 accelerators", "is not NAME:CARDS"),
    "maybe spot": (edit("jobs.csv", cell(1, 8, "maybe")), "jobs.csv:2 spot", "'maybe'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    spoil, where, said = WRONG[name]
    spoil(save(made(), tmp_path))
    with pytest.raises(InvalidInput) as refused:
        read_city(tmp_path)
    told = [p.problem.en for p in refused.value.problems if p.where == where]
    assert told and said in told[0], refused.value.problems


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    save(made(), tmp_path)
    for name in ("negative nodes", "NaN tariff", "off the earth", "a home nowhere"):
        WRONG[name][0](tmp_path)
    with pytest.raises(InvalidInput) as refused:
        read_city(tmp_path)
    assert {WRONG[n][1] for n in ("negative nodes", "NaN tariff", "off the earth", "a home nowhere")} <= {p.where for p in refused.value.problems}


def test_light_in_fibre() -> None:
    """A degree of latitude is some 111 km: 0.556 ms."""
    a = made().sites[0]
    assert light_us(a, replace(a, latitude_e6=a.latitude_e6 + 1_000_000)) == pytest.approx(556, abs=1)
    assert light_us(a, a) == 0


TRACE = """timestamp,duration,num_gpus,gpu_time,cluster
2017-10-01 00:00:10,60.5,1,60,vc1
2017-10-01 00:00:00,100,16,1600,vc2
2017-10-01 00:01:00,nan,1,0,vc1
yesterday,10,1,10,vc1
2017-10-01 00:02:00,10,0,0,vc1
2017-10-01 00:02:00,10,12,0,vc1
2017-10-01 00:03:00,10,2
"""


def test_bad_rows_of_a_trace_are_named_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(TRACE)
    skips = Skips()
    jobs = read_trace(file, TraceTerms("nvidia-a100-sxm4-80g"), skips)
    assert [(j.at, j.seconds, j.org, j.needs[0].nodes, j.needs[0].accelerators[0][1]) for j in jobs] == [(0, 100, "vc2", 2, 8), (10, 61, "vc1", 1, 1)]
    assert (skips.count, [s.line for s in skips.first]) == (5, [4, 5, 6, 7, 8])


def test_settings_change_what_they_name() -> None:
    here = made()
    name = here.sites[0].name
    fifo = POLICIES["fifo"]
    cards = {n: sum(g.count for g in s.groups) for n, s in ((s.name, s) for s in here.sites)}
    larger, _ = with_settings(here, fifo, [f"capacity:{name}=3"])
    assert {s.name: sum(g.count for g in s.groups) for s in larger.sites} == cards | {name: 3 * cards[name]}
    assert {s.name for s in with_settings(here, fifo, [f"without={name}"])[0].sites} == set(cards) - {name}
    tariff = here.sites[0].tariff
    half = with_settings(here, fifo, [f"hours:{tariff}=0.5"])[0].sites[0]
    assert half.tariff_ucny_per_kwh == tuple(v // 2 for v in here.sites[0].tariff_ucny_per_kwh)
    changed, policy = with_settings(here, fifo, [f"outage:{name}=3+2", "policy=fair"])
    assert (changed.outages[0].first, changed.outages[0].hours, policy.name) == (3, 2, "fair")


@pytest.mark.parametrize("setting", ["capacity:nowhere=2", "capacity:*=0", "capacity:*=nan", "capacity:*=-1", "capacity:*=1", "without=nowhere", "hours:none=2",
                                     "outage:nowhere=1+1", "policy=luck", "speed=2", "nonsense", "prices=/does/not/exist.yaml"])  # fmt: skip
def test_settings_that_are_none_are_refused(setting: str) -> None:
    with pytest.raises(InvalidInput):
        with_settings(made(), POLICIES["fifo"], [setting])


def test_a_file_of_variants(tmp_path: Path) -> None:
    file = tmp_path / "what-if.yaml"
    file.write_text('more: ["capacity:*=2"]\nfair: ["policy=fair"]\n')
    assert read_variants(file) == {"more": ("capacity:*=2",), "fair": ("policy=fair",)}
    for text in ("", "- a\n", "more: capacity\n", "more: [1]\n", "a: [x]\na: [y]\n"):
        file.write_text(text)
        with pytest.raises(InvalidInput):
            read_variants(file)


def test_the_command_gives_the_same_bytes_twice_and_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(made(), tmp_path / "city")
    written = []
    for n in ("1", "2"):
        command(folder=folder, settings=["capacity:*=2", "policy=fair"], out=tmp_path / n, plot=tmp_path / n, as_json=True)
        written.append({f.name: f.read_bytes() for f in sorted((tmp_path / n).iterdir()) if f.name != "timing.json"})
    assert written[0] == written[1] and set(written[0]) == {"result.json", "jobs-base.csv", "jobs-set.csv", "city.svg"}
    result = orjson.loads(written[0]["result.json"])
    assert capsys.readouterr().out == 2 * written[0]["result.json"].decode()
    found = result["variants"]["set"]["differences"]["wait_mean_s"]
    assert found["difference"] == found["variant"] - found["base"] < 0
    assert result["jobs"]["all"] == 60 and result["simulated"] is True


def test_a_wrong_command_line_is_refused(tmp_path: Path) -> None:
    empty = make_city(SIZE, 1)
    for wrong in ({}, {"folder": tmp_path, "made": True}, {"folder": tmp_path / "none"}, {"made": True, "policy": "luck"},
                  {"folder": save(empty, tmp_path / "idle")}, {"made": True, "trace": tmp_path / "none.csv"},
                  {"made": True, "trace": tmp_path / "none.csv", "trace_class": "cpu-core"}):  # fmt: skip
        with pytest.raises(InvalidInput):
            command(**wrong)  # type: ignore[arg-type]


def test_a_saved_city_is_the_made_one(tmp_path: Path) -> None:
    command(made=True, sites=4, devices=40, orgs=3, jobs=60, hours=12, save=tmp_path / "c")
    assert read_city(tmp_path / "c") == made()
