"""The engine of several hosts, piece by piece: verdicts, tokens, silence, orders, output that survives a head."""

import tempfile
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.secrets import digest
from zhisuan.engines.contract import (
    ClusterNode,
    EngineReport,
    ExitReason,
    IsolationLevel,
    NodeGrant,
    Observation,
    RunPhase,
    RunSpec,
)
from zhisuan.engines.errors import EngineError, EngineUnavailable, InvalidSpec, StartRefused
from zhisuan.engines.hosts.artefacts import fetch
from zhisuan.engines.hosts.config import HostsEngineConfig
from zhisuan.engines.hosts.gang import Order, load, write_order
from zhisuan.engines.hosts.messages import INTRODUCTION, VERSION, Introduction, View, plain
from zhisuan.engines.hosts.ordering import make_order
from zhisuan.engines.hosts.paths import RunPaths
from zhisuan.engines.hosts.posts import ANSWER_SECONDS, Posts
from zhisuan.engines.hosts.registry import JoinDenied, Registry
from zhisuan.engines.hosts.seats import rank_spec, seat_of
from zhisuan.engines.hosts.verdict import RankEnd, cause, whole
from zhisuan.site.cluster import node_reports
from zhisuan.wire.site import DeviceReport, MeasurementReport, NodeReport

AT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
SPEC = RunSpec("lease_a", 1, None, "true", {}, 1000, 256, nodes=(NodeGrant("a"), NodeGrant("b")))


def seen(reason: ExitReason | None, **changes: Any) -> Observation:
    phase = RunPhase.exited if reason is not None else RunPhase.running
    values: dict[str, Any] = {
        "lease_id": "lease_a", "generation": 1, "phase": phase, "started_at": AT, "ended_at": AT if reason else None,
        "exit_code": None, "signal": None, "reason": reason, "message": None, "cpu_seconds_milli": 5,
        "memory_peak_bytes": 7, "progress": None, **changes,
    }  # fmt: skip
    return Observation(**values)


# Verdicts

reasons = st.sampled_from([*ExitReason, None])


@given(st.lists(reasons, min_size=1, max_size=5))
def test_a_run_is_completed_exactly_when_all_ranks_are(ranks: list[ExitReason | None]) -> None:
    ends = [RankEnd(f"h{i}", seen(r) if r is not None else None, None if r else "gone") for i, r in enumerate(ranks)]
    found = whole(ends, None)
    assert (found.reason is ExitReason.completed) == all(r is ExitReason.completed for r in ranks)
    first = next((i for i, r in enumerate(ranks) if r is not ExitReason.completed), None)
    if first is not None and len(ranks) > 1 and ranks[first] is None:
        assert found.message == f"node {first} (h{first}): gone"


def test_the_first_cause_stays() -> None:
    ends = [RankEnd("a", seen(ExitReason.cancelled)), RankEnd("b", seen(ExitReason.failed, exit_code=9))]
    first = cause(1, ends[1], 2)
    assert first is not None
    assert whole(ends, first).exit_code == 9


# Tokens


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "engine")


def refusal(registry: Registry, *words: Any) -> str:
    with pytest.raises(JoinDenied) as denied:
        registry.join(*words)
    return denied.value.code


def test_a_token_is_for_one_host_once(registry: Registry) -> None:
    token = registry.invite("zsh_1", AT)
    assert token.endswith(registry.certificate.fingerprint())
    for _ in range(2):
        registry.join(token, "a", digest("secret"), AT)
    assert refusal(registry, token, "a", digest("other"), AT) == "token_used"
    assert refusal(registry, token, "b", digest("secret"), AT) == "token_used"
    assert refusal(registry, token + "0", "b", digest("x"), AT) == "token_unknown"
    assert refusal(registry, registry.invite("zsh_2", AT), "a", digest("x"), AT) == "name_taken"
    assert refusal(registry, registry.invite("zsh_3", AT), "../a", digest("x"), AT) == "bad_name"
    assert (
        refusal(registry, registry.invite("zsh_4", AT), "b", digest("x"), AT + timedelta(hours=25)) == "token_expired"
    )
    found = registry.by_credential("secret")
    assert found is not None
    assert found.hostname == "a"
    assert registry.remove("a")
    assert registry.by_credential("secret") is None


def test_what_is_kept_holds_no_secret(registry: Registry, tmp_path: Path) -> None:
    token = registry.invite("zsh_9", AT)
    registry.join(token, "a", digest("secret"), AT)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret" not in kept.replace(b"BEGIN PRIVATE", b"")
    assert b"zsh_9" not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*.json"))


def test_the_certificate_is_made_once(registry: Registry, tmp_path: Path) -> None:
    assert Registry(tmp_path / "engine").certificate.fingerprint() == registry.certificate.fingerprint()
    assert (tmp_path / "engine/certificate/key.pem").stat().st_mode & 0o077 == 0


# Who is there


def told(name: str, **changes: Any) -> Introduction:
    report = EngineReport("local", "bubblewrap 0.8.0", IsolationLevel.sandbox, {}, ())
    node = ClusterNode(name, 2000, 4096)
    values: dict[str, Any] = {
        "version": VERSION, "hostname": name, "address": f"10.0.0.{ord(name)}", "now": AT, "node": node,
        "report": report, "allow_unisolated": False, "orphan_grace_seconds": 60, "timeout_grace_seconds": 3, **changes,
    }  # fmt: skip
    return Introduction(**values)


class Steady:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def posts_of(registry: Registry, *names: str) -> tuple[Posts, Steady]:
    for name in names:
        registry.join(registry.invite(f"zsh_{name}", AT), name, digest(name), AT)
    steady = Steady()
    posts = Posts(registry, lambda: AT, steady)
    for name in names:
        posts.introduce(name, None, told(name))  # type: ignore[arg-type]
    return posts, steady


def test_silence_is_counted_from_the_last_moment_a_host_can_have_heard(registry: Registry) -> None:
    posts, steady = posts_of(registry, "a")
    steady.now += 50
    assert posts.silent_seconds("a") == 0
    posts.hear("a")
    posts.left(posts.connected["a"])
    steady.now += 10
    assert posts.silent_seconds("a") == 10 - ANSWER_SECONDS
    anew = Posts(registry, lambda: AT, steady)
    steady.now += 1
    assert anew.silent_seconds("a") == 1 - ANSWER_SECONDS, "a head that begins anew has heard nothing yet"


def test_an_unisolated_host_takes_both_operators_leave(registry: Registry) -> None:
    posts, _ = posts_of(registry, "a")
    bare = replace(told("a").report, isolation=IsolationLevel.none)
    for host in (False, True):
        posts.introduce("a", None, told("a", report=bare, allow_unisolated=host))  # type: ignore[arg-type]
        for head in (False, True):
            [node] = posts.nodes(allow_unisolated=head)
            assert node.usable == (host and head)
            assert bool(node.note) == (not node.usable)


def test_a_clock_that_is_off_is_seen(registry: Registry) -> None:
    posts, _ = posts_of(registry, "a", "b")
    posts.introduce("b", None, told("b", now=AT - timedelta(seconds=30)))  # type: ignore[arg-type]
    assert posts.skewed() == {"b": timedelta(seconds=-30)}


# Orders


def ordered(registry: Registry, spec: RunSpec, in_use: set[tuple[str, int]], **changes: Any) -> Order:
    posts, _ = posts_of(registry, *(name for name in ("a", "b") if name not in registry.members()))
    for name in ("a", "b"):
        posts.introduce(name, None, told(name))  # type: ignore[arg-type]
    nodes = {node.hostname: node for node in posts.nodes(allow_unisolated=False)}
    return make_order(spec, nodes, posts, HostsEngineConfig(**changes), in_use)


def test_each_run_is_promised_a_port_nobody_else_was(registry: Registry) -> None:
    in_use: set[tuple[str, int]] = set()
    for _ in range(3):
        order = ordered(registry, SPEC, in_use, gang_network="host", rendezvous_ports=3)
        assert order.rendezvous_port is not None
        assert ("a", order.rendezvous_port) not in in_use
        in_use.add(("a", order.rendezvous_port))
    with pytest.raises(StartRefused, match="promised"):
        ordered(registry, SPEC, in_use, gang_network="host", rendezvous_ports=3)


def test_without_leave_there_is_no_network_and_no_port(registry: Registry) -> None:
    order = ordered(registry, SPEC, set())
    assert (order.network, order.rendezvous_port) == ("none", None)
    alone = ordered(registry, replace(SPEC, nodes=(NodeGrant("b"),)), set(), gang_network="host")
    assert (alone.network, alone.rendezvous_port, seat_of(alone, 0)) == ("none", None, None)


def test_hosts_that_cannot_be_had_are_named(registry: Registry) -> None:
    for names, said in ((("a", "x"), "'x'"), (("a", "a"), "twice"), (("a", "b", "c"), "3 nodes")):
        with pytest.raises(InvalidSpec, match=said):
            ordered(registry, replace(SPEC, nodes=tuple(map(NodeGrant, names))), set())


def test_each_rank_is_told_its_own(registry: Registry) -> None:
    order = ordered(registry, SPEC, set(), gang_network="host")
    for rank, name in enumerate(("a", "b")):
        seat = seat_of(order, rank)
        assert seat is not None
        assert (seat.address, seat.network) == (f"10.0.0.{ord(name)}", "host")
        assert seat.variables["ZHISUAN_NODE_RANK"] == str(rank)
        assert seat.variables["ZHISUAN_NODE_IPS"] == "10.0.0.97\n10.0.0.98"
        assert rank_spec(SPEC, rank).nodes == (NodeGrant(name),)


# Output and ends outlive a head


@given(st.lists(st.tuples(st.binary(max_size=20), st.booleans()), max_size=12))
def test_output_is_kept_once_however_often_the_head_begins_anew(pieces: list[tuple[bytes, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = RunPaths(Path(folder))
        write_order(paths, Order(SPEC, ("a", "b"), ("1", "2")))
        gang, whole_output = load(paths), b"".join(piece for piece, _ in pieces)
        for piece, anew in pieces:
            if anew:
                gang = load(paths)
            rank = gang.ranks[1]
            rest = whole_output[rank.logged : rank.logged + len(piece)]
            gang.take(rank, View("lease_a", 1, "x", seen(None), True, b64encode(rest).decode(), True))
        gang = load(paths)
        rest = whole_output[gang.ranks[1].logged :]
        gang.take(
            gang.ranks[1], View("lease_a", 1, "y", seen(ExitReason.failed), True, b64encode(rest).decode(), False)
        )
        assert (paths.out(1).read_bytes() if whole_output else b"") == whole_output
        again = load(paths)
        assert (again.ranks[1].over, again.ending) == (gang.ranks[1].over, gang.ending)
        assert again.ending is not None
        assert again.ending.reason is ExitReason.failed


def test_a_disk_that_is_full_for_a_while_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zhisuan.engines.hosts import gang as module

    paths = RunPaths(tmp_path)
    write_order(paths, Order(SPEC, ("a", "b"), ("1", "2")))
    made = load(paths)
    view = View("lease_a", 1, "x", seen(ExitReason.completed), True, b64encode(b"all\n").decode(), False)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for broken in ("_append", "_write_whole"):
        with monkeypatch.context() as patch:
            patch.setattr(module, broken, full)
            with pytest.raises(OSError, match="space"):
                made.take(made.ranks[0], view)
        assert made.ranks[0].over is None
    made.take(made.ranks[0], replace(view, log=b64encode(b"all\n"[made.ranks[0].logged :]).decode()))
    assert made.ranks[0].over is not None
    assert paths.out(0).read_bytes() == b"all\n"


# What a host says is not believed


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", "a\0b"])
def test_a_file_that_would_lie_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(EngineError, match="cannot be one"):
        fetch(lambda name, more: [[path, 1, 0]], tmp_path / "artifacts", tmp_path / "part")
    assert [p.name for p in tmp_path.iterdir()] == ["artifacts"]


def test_files_are_brought_in_pieces_and_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(name: str, more: dict[str, Any]) -> Any:
        asked.append(name)
        return [["d/w", 5, 1_000]] if name == "files" else b64encode(b"01234"[more["offset"] : more["offset"] + 2]).decode()

    for _ in range(2):
        fetch(ask, tmp_path / "artifacts", tmp_path / "part")
    assert (tmp_path / "artifacts/d/w").read_bytes() == b"01234"
    assert asked == ["files", "read", "read", "read", "files", "files", "files"]


def test_a_folder_that_changes_is_looked_at_again_and_what_is_gone_goes(tmp_path: Path) -> None:
    """The copy is that of one moment: what was listed before and after it was brought is the same."""
    moments = [{"a": b"1", "b": b"2"}, {"a": b"1", "b": b"3"}, {"b": b"3"}, {"b": b"3"}]

    def ask(name: str, more: dict[str, Any]) -> Any:
        now = moments[0]
        if name == "files":
            moments[:] = moments[1:] or moments
            return [[path, len(data), data[0]] for path, data in now.items()]
        return b64encode(now.get(more["path"], b"")[more["offset"] :]).decode()

    fetch(ask, tmp_path / "copy", tmp_path / "part")
    assert {p.name: p.read_bytes() for p in (tmp_path / "copy").iterdir()} == {"b": b"3"}


def test_a_folder_that_never_stands_still_is_not_copied(tmp_path: Path) -> None:
    times = iter(range(100))
    with pytest.raises(EngineUnavailable, match="changes all the time"):
        fetch(lambda name, more: [["a", 0, next(times)]], tmp_path / "copy", tmp_path / "part")


# What the platform is told


def test_a_host_is_told_as_it_measured_itself() -> None:
    measured = MeasurementReport(precision="fp32", mflops=91_000, method="gemm", at=AT)
    cpu = DeviceReport(key="cpu", kind="cpu", name="CPU", capacity=2000, measurements=(measured,))
    report = NodeReport(hostname="box.local", os="Debian", architecture="x86_64", boot_id="b", devices=(cpu,))
    node = ClusterNode("a", 2000, 4096, report=report.model_dump(mode="json"))
    carried = INTRODUCTION.validate_python(plain(INTRODUCTION, told("a", node=node))).node
    [good] = node_reports((carried,), {})
    assert (good.hostname, good.devices) == ("a", (cpu,))
    [bad] = node_reports((replace(node, usable=False, note="away"),), {})
    assert [(d.health, d.note, d.measurements) for d in bad.devices] == [("failed", "away", (measured,))]
