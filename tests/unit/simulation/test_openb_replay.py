"""The inflation protocol from files to a placement file, through the command, on lists made from a seed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zhisuan.app.simulate import openb as command
from zhisuan.base.errors import InvalidInput
from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.policies import NAMES
from zhisuan.placement.cards.types import CARD, Choice, Node, Task
from zhisuan.simulation.openb.arrivals import inflate
from zhisuan.simulation.openb.bound import bound_milli, first_to_fill
from zhisuan.simulation.openb.files import Arrival, read_nodes, read_stream, read_tasks
from zhisuan.simulation.openb.replay import Decision
from zhisuan.simulation.openb.runs import compare, decide
from zhisuan.simulation.openb.shapes import SHAPES, make
from zhisuan.simulation.rows import Skips

sys.path.append(str(Path(__file__).parents[1] / "placement" / "cards"))
from cards_checker import broken

USUAL, NAMING = SHAPES[0], next(shape for shape in SHAPES if shape.name == "third-naming-equally")


def files(folder: Path, nodes: list[Node], tasks: list[Task]) -> tuple[Path, Path]:
    rows = [f"{n.name},{n.cpu_milli},{n.memory_mib},{n.cards},{n.model}" for n in nodes]
    (folder / "nodes.csv").write_text("\n".join(("sn,cpu_milli,memory_mib,gpu,model", *rows)) + "\n")
    rows = [
        f"p{i},{t.cpu_milli},{t.memory_mib},{t.num_gpu},{t.gpu_milli},{'|'.join(t.models)}" for i, t in enumerate(tasks)
    ]
    (folder / "pods.csv").write_text("\n".join(("name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec", *rows)) + "\n")
    return folder / "nodes.csv", folder / "pods.csv"


def stream_text(arrivals: list[Arrival]) -> str:
    rows = ["arrival,pod_index,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec"]
    for a in arrivals:
        task = a.task
        rows.append(
            f"{a.number},{a.index},{task.cpu_milli},{task.memory_mib},{task.num_gpu},{task.gpu_milli},{'|'.join(task.models)}"
        )
    return "\n".join(rows) + "\n"


def run(*args: object) -> str:
    import typer

    app = typer.Typer()
    app.command()(command.openb)
    done = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_placement_file_keeps_every_rule(tmp_path: Path, name: str) -> None:
    nodes, tasks = make(NAMING, 3, nodes=30, tasks=200)
    node_file, pod_file = files(tmp_path, nodes, tasks)
    out = tmp_path / "out.csv"
    said = json.loads(
        run("--nodes", node_file, "--pods", pod_file, "--seed", 5, "--policy", name, "--placement", out, "--json")
    )
    capacity = sum(n.cards for n in nodes) * CARD
    arrivals = inflate(tasks, capacity, 5)
    assert broken(nodes, {a.number: a.task for a in arrivals}, out) == []
    placed = {int(line.split(",")[0]) for line in out.read_text().splitlines()[1:]}
    known = {a.number: a.task for a in arrivals}
    one = said["runs"][0]
    assert one["allocated_gpu_milli"] == sum(known[n].total_milli for n in placed)
    assert one["arrived"] - one["refused"] == len(placed)
    assert one["allocation_percent_at_100"] <= said["bound_percent"]["5"] + 0.001


def test_the_checker_finds_what_is_broken(tmp_path: Path) -> None:
    nodes, tasks = [Node("a", 1000, 10, 1, "A")], {0: Task(600, 6, 1, 600, ("B",)), 1: Task(600, 6, 1, 600)}
    out = tmp_path / "out.csv"
    out.write_text("arrival,node,gpus\n0,a,0\n1,a,0\n1,a,1|1\n")
    found = " ".join(broken(nodes, tasks, out))
    for word in ("twice", "asked for 1", "has not", "on a A", "cpu", "memory", "card"):
        assert word in found


def test_the_same_seed_gives_the_same_bytes_and_the_stream_the_same_decisions(tmp_path: Path) -> None:
    nodes, tasks = make(USUAL, 1, nodes=30, tasks=150)
    node_file, pod_file = files(tmp_path, nodes, tasks)
    args = ("--nodes", node_file, "--pods", pod_file, "--seed", 2, "--no-bound", "--json")
    first = run(*args, "--placement", tmp_path / "1.csv")
    assert run(*args, "--placement", tmp_path / "2.csv") == first
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    arrivals = inflate(tasks, sum(n.cards for n in nodes) * CARD, 2)
    (tmp_path / "stream.csv").write_text(stream_text(arrivals))
    shown = run("--nodes", node_file, "--pods", pod_file, "--seed", 2, "--stream", tmp_path / "stream.csv")
    assert shown.encode() == (tmp_path / "1.csv").read_bytes()


def test_each_decision_is_written_before_the_next_line_is_read(tmp_path: Path) -> None:
    node_file, _ = files(tmp_path, [Node("a", 9000, 90, 2, "A")], [Task(1, 1)])
    code = "from pathlib import Path; from zhisuan.app.simulate.openb import openb; import sys; openb(Path(sys.argv[1]), stream='-')"
    with subprocess.Popen([sys.executable, "-c", code, str(node_file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:  # fmt: skip
        assert child.stdin and child.stdout
        lines = stream_text(
            [Arrival(7, 0, Task(1000, 1, 1, 500)), Arrival(9, 1, Task(1000, 1, 2, 1000)), Arrival(11, 2, Task(10, 1))]
        ).splitlines(True)
        child.stdin.write(lines[0])
        assert child.stdout.readline() == "arrival,node,gpus\n"
        child.stdin.write(lines[1])
        assert child.stdout.readline() == "7,a,0\n"
        child.stdin.write(lines[2])  # two whole cards are not there: no line
        child.stdin.write(lines[3])
        assert child.stdout.readline() == "11,a,\n"
        child.stdin.close()
        assert child.stdout.read() == ""
        assert child.wait() == 0


def test_bad_rows_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(
        "sn,cpu_milli,memory_mib,gpu,model\na,1,1,1,A\na,1,1,1,A\nb,nan,1,1,A\nc,1,-1,1,A\n,1,1,1,A\nd,1,1,999,A\n"
    )
    skips = Skips()
    assert read_nodes(tmp_path / "n.csv", skips) == [Node("a", 1, 1, 1, "A")]
    assert [s.line for s in skips.first] == [3, 4, 5, 6, 7]
    header = "cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
    (tmp_path / "p.csv").write_text(
        header + "1,1,1,500,A\n1,1,1,0,\n1,1,2,500,\n1,1,1,1001,\n1,1,0,5,\n1,1,1,5,Z\n1,1,0,0,Z\n1,1,1,5,A|Z\n"
    )
    skips = Skips()
    assert read_tasks(tmp_path / "p.csv", skips, {"A"}) == [
        Task(1, 1, 1, 500, ("A",)),
        Task(1, 1),
        Task(1, 1, 1, 5, ("A", "Z")),
    ]
    assert skips.count == 5
    skips = Skips()
    text = "arrival,pod_index,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n0,0,1,1,0,0,\n0,0,1,1,0,0,\n1,0,-1,1,0,0,\nx\n2,0,1,1,1,5,Z\n"
    assert [a.number for a in read_stream(io.StringIO(text), "s", skips)] == [0, 2]
    assert skips.count == 3


@pytest.mark.parametrize("text", ["", "sn,cpu_milli\n", "sn,cpu_milli,memory_mib,gpu,model\n"])
def test_a_file_without_a_usable_row_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "n.csv").write_text(text)
    with pytest.raises(InvalidInput):
        read_nodes(tmp_path / "n.csv", Skips())
    with pytest.raises(InvalidInput):
        list(read_stream(io.StringIO(text), "s", Skips()))


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    node_file, pod_file = files(tmp_path, [Node("a", 9, 9, 1, "A")], [Task(1, 1, 1, 500)])
    wrong: list[dict[str, object]] = [
        {},
        {"pods": pod_file, "policy": ["best"]},
        {"pods": pod_file, "seeds": 2, "placement": tmp_path / "o.csv"},
        {"pods": pod_file, "plot": tmp_path / "o.txt"},
        {"stream": str(pod_file), "as_json": True},
        {"stream": str(pod_file), "plot": tmp_path / "o.svg"},
    ]
    for options in wrong:
        with pytest.raises(InvalidInput):
            command.openb(node_file, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        inflate([Task(1, 1)], 1000, 0)


def test_the_bound_is_what_can_be_reached() -> None:
    """Small cases worked out by hand: a share of 810 leaves a card to itself, 470 goes in pairs, CPU and gangs bind."""
    node = Node("a", 100_000, 1000, 2, "A")
    assert bound_milli([node], [Task(1, 1, 1, 810)] * 3) == pytest.approx(1620)
    assert bound_milli([node], [Task(1, 1, 1, 470)] * 5) == pytest.approx(1880)
    assert bound_milli([node], [Task(60_000, 1, 1, 1000)] * 2) == pytest.approx(1000 * 100 / 60)
    assert bound_milli([node, node], [Task(1, 1, 2, 1000), Task(1, 1, 1, 1000)] * 9) == pytest.approx(4000)
    assert bound_milli([Node("b", 9, 9, 1, "A")] * 4, [Task(1, 1, 2, 1000)]) == 0
    assert bound_milli([node], [Task(1, 1, 1, 500, ("B",))]) == 0
    assert len(first_to_fill([Task(1, 1, 1, 500)] * 9, 1000)) == 2


@pytest.mark.slow
def test_ours_is_ahead_of_the_published_policy_and_refuses_no_task_without_a_card() -> None:
    nodes, tasks = make(USUAL, 4, nodes=150, tasks=1200)
    result = compare(nodes, tasks, ("random", "fgd", "zhisuan"), (0,), lambda: 0)
    random, fgd, ours = (result.of(name)[0] for name in ("random", "fgd", "zhisuan"))
    assert random.at_full_percent and fgd.at_full_percent and ours.at_full_percent
    assert random.at_full_percent < fgd.at_full_percent < ours.at_full_percent <= result.bounds_percent[0]
    assert ours.tally.refused_cpu_only_at_full == 0


def test_what_is_learned_from_arrivals_needs_no_list() -> None:
    nodes, tasks = make(USUAL, 2, nodes=40, tasks=300)
    arrivals = inflate(tasks, sum(n.cards for n in nodes) * CARD, 0)
    tally, decisions = decide("zhisuan", nodes, Mix(), arrivals, 0, lambda: 0)
    placed = sum(isinstance(d.outcome, Choice) for d in decisions)
    assert placed + tally.refused == len(arrivals) == tally.arrived
    assert tally.at_full_milli is not None
    assert tally.at_full_milli > tally.capacity_milli * 85 // 100


def test_lists_of_every_shape_are_made_from_their_seed() -> None:
    for shape in SHAPES:
        nodes, tasks = make(shape, 1, nodes=20, tasks=50)
        assert (nodes, tasks) == make(shape, 1, nodes=20, tasks=50) != make(shape, 2, nodes=20, tasks=50)
        assert any(t.num_gpu for t in tasks)
        assert len(tasks) == 50


def test_a_refusal_has_no_row() -> None:
    from zhisuan.placement.cards.types import Refusal

    node = Node("n", 1, 1, 2)
    assert Decision(Arrival(3, 0, Task(1, 1, 2, 1000)), Choice(0, (0, 1))).fields([node]) == (3, "n", "0|1")
    assert Decision(Arrival(3, 0, Task(1, 1)), Refusal({"cpu": 1})).fields([node]) is None
