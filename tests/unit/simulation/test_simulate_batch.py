"""``simulate batch``: a problem from a file, what is wrong with one, the same seed twice."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from zhisuan.app.simulate.batch import batch
from zhisuan.base.errors import InvalidInput
from zhisuan.simulation.batch.files import read_problem


def run(*args: str) -> str:
    app = typer.Typer()
    app.command()(batch)
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def problem() -> dict[str, Any]:
    one = {
        "id": "s",
        "device_class": "a",
        "cards": [2, 2],
        "price_ucny": [9, 5],
        "carbon_mg": [0, 0],
        "cards_per_node": 2,
    }
    job = {"id": "j", "milli_slots": 1000, "rates": {"a": 1000}, "value_ucny": 100}
    return {"slots": 2, "sites": [one], "jobs": [job]}


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_problem_from_a_file(tmp_path: Path) -> None:
    result = json.loads(run("--problem", str(written(tmp_path / "p.json", problem())), "--json"))
    assert result["placed"] == 1 and result["objective_ucny"] == 5 and result["gap_ppm"] == 0
    assert result["plan"]["starts"][0]["slot"] == 1 and result["broken_rules"] == []


def test_the_same_seed_gives_the_same_bytes_and_a_table(tmp_path: Path) -> None:
    args = ("--jobs", "40", "--sites", "6", "--seed", "2", "--load", "20", "--gap", "30000")
    assert (
        run(*args, "--json", "--out", str(tmp_path / "o.json"))
        == (tmp_path / "o.json").read_text()
        == run(*args, "--json")
    )
    assert "jobs placed" in run(*args)


@pytest.mark.parametrize(
    "change, where",
    [
        (lambda p: p["sites"].clear(), "sites"),
        (lambda p: p["sites"][0].update(cards=[-1, 2]), "sites.0.cards.0"),
        (lambda p: p["sites"][0].update(cards=[1]), "sites.0.cards"),
        (lambda p: p["sites"][0].update(price_ucny=[1.5, 2]), "sites.0.price_ucny.0"),
        (lambda p: p["jobs"].append(p["jobs"][0]), "jobs.1.id"),
        (lambda p: p["jobs"][0].update(rates={"a": 0}), "jobs.0.rates.a"),
        (lambda p: p["jobs"][0].update(color="red"), "jobs.0.color"),
        (lambda p: p.update(slots=0), "slots"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, change: Any, where: str) -> None:
    given = problem()
    change(given)
    with pytest.raises(InvalidInput) as refused:
        read_problem(written(tmp_path / "p.json", given))
    assert where in {one.where for one in refused.value.problems}


@pytest.mark.parametrize("text", ["", "{", '{"slots": 2, "sites": [{"price_ucny": [NaN]}], "jobs": []}'])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput):
        read_problem(written(tmp_path / "p.json", text))


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no shape"):
        run("--shape", "round")
