"""What every driver for runs of several nodes must do, beside ``EngineConformance``.

class TestMyGang(GangConformance):
    @pytest.fixture
    def harness(self, ...): yield Harness(open_engine=lambda: MyEngine(...))

    @pytest.fixture
    def hostnames(self, ...): return ("n1", "n2")    # two hosts of the cluster, in the order of the ranks
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_conformance import Harness, pack, spec

from zhisuan.engines.artifacts import iter_artifacts
from zhisuan.engines.contract import ExitReason, FileMount, NodeGrant, Observation, RunPhase
from zhisuan.engines.errors import InvalidSpec, UnknownRun

RANK_OF = 'rank=$ZHISUAN_NODE_RANK; [ "$rank" = "$SKYPILOT_NODE_RANK" ] || exit 99\n'


def lines_of(log: str, rank: int) -> list[str]:
    """What the node of ``rank`` wrote, in its order, without the prefix."""
    prefix = f"[{rank}] "
    return [line.removeprefix(prefix) for line in log.splitlines() if line.startswith(prefix)]


class GangConformance:
    def run(self, harness: Harness, hostnames: tuple[str, ...], script: str, **changes: Any) -> Observation:
        return harness.run(RANK_OF + script, nodes=tuple(NodeGrant(name) for name in hostnames), **changes)

    def start(self, harness: Harness, hostnames: tuple[str, ...], script: str, **changes: Any) -> None:
        harness.engine.start(spec(RANK_OF + script, nodes=tuple(NodeGrant(name) for name in hostnames), **changes))

    def test_the_cluster_shows_its_nodes(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        nodes = {node.hostname: node for node in harness.engine.nodes()}
        assert set(hostnames) <= set(nodes)
        assert harness.engine.preflight().nodes_max >= len(hostnames)
        for name in hostnames:
            node = nodes[name]
            assert node.usable
            assert node.cpus_milli >= 1000
            assert node.memory_mib >= 256
            keys = [card.key for card in node.accelerators]
            assert len(set(keys)) == len(keys)

    def test_every_node_runs_and_the_log_says_which(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        seen = self.run(harness, hostnames, "echo one $rank; echo two $rank >&2")
        assert (seen.reason, seen.exit_code) == (ExitReason.completed, 0)
        log = harness.log()
        assert log.endswith("\n")
        for rank in range(len(hostnames)):
            assert lines_of(log, rank) == [f"one {rank}", f"two {rank}"]
        assert len(log.splitlines()) == 2 * len(hostnames)

    def test_a_last_line_without_an_end_is_kept_apart(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        self.run(harness, hostnames, "printf 'begun\\nunended'")
        for rank in range(len(hostnames)):
            assert lines_of(harness.log(), rank) == ["begun", "unended"]

    def test_ranks_follow_the_order_of_the_grants(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        """Turning the order round turns the ranks round; where hosts have addresses of their own, those as well."""
        said = {}
        for generation, order in enumerate((hostnames, hostnames[::-1]), start=1):
            seen = self.run(harness, order, "echo ${SLURMD_NODENAME:-}; echo $ZHISUAN_NODE_IPS", generation=generation)
            assert seen.reason is ExitReason.completed
            log = harness.log(generation=generation)
            said[generation] = [lines_of(log, rank) for rank in range(len(hostnames))]
            ips = {lines[1] for lines in said[generation]}
            assert len(ips) == 1, "all nodes are told the same addresses"
            assert len(ips.pop().split()) == len(hostnames)
        assert [lines[0] for lines in said[1]] == [lines[0] for lines in said[2]][::-1]
        assert said[1][0][1].split() == said[2][0][1].split()[::-1]

    def test_every_node_knows_the_gang(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        script = """
        for name in NUM_NODES NODE_RANK NODE_IPS; do
            ours=ZHISUAN_$name theirs=SKYPILOT_$name
            [ "${!ours}" = "${!theirs}" ] || { echo "$ours differs"; exit 3; }
        done
        [ "$ZHISUAN_NUM_ACCELERATORS" = "$SKYPILOT_NUM_GPUS_PER_NODE" ] || exit 4
        [ "$(printf '%s\\n' "$ZHISUAN_NODE_IPS" | wc -l)" = "$ZHISUAN_NUM_NODES" ] || exit 5
        echo "$ZHISUAN_NUM_NODES $ZHISUAN_NODE_RANK $ZHISUAN_NUM_ACCELERATORS"
        """
        seen = self.run(harness, hostnames, script)
        assert seen.reason is ExitReason.completed, harness.log()
        for rank in range(len(hostnames)):
            assert lines_of(harness.log(), rank) == [f"{len(hostnames)} {rank} 0"]

    def test_nodes_meet_at_the_addresses_given(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        """Rank 0 listens, the others come to the first address."""
        script = """
        first=$(printf '%s\\n' "$ZHISUAN_NODE_IPS" | head -n 1)
        exec python3 - "$first" "$rank" <<'PY'
import socket, sys, time
first, rank = sys.argv[1], int(sys.argv[2])
port = 29517
if rank == 0:
    listener = socket.create_server(("", port))
    listener.settimeout(60)
    peer, _ = listener.accept()
    print("met", peer.recv(16).decode())
else:
    for _ in range(600):
        try:
            peer = socket.create_connection((first, port), timeout=5)
            break
        except OSError:
            time.sleep(0.1)
    peer.sendall(b"rank 1")
PY
        """
        seen = self.run(harness, hostnames[:2], script)
        assert seen.reason is ExitReason.completed, harness.log()
        assert lines_of(harness.log(), 0) == ["met rank 1"]

    def test_setup_is_run_on_every_node(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        seen = self.run(
            harness, hostnames, "cat made", setup='echo "prepared by $ZHISUAN_NODE_RANK" > made; echo setup'
        )
        assert seen.reason is ExitReason.completed, harness.log()
        for rank in range(len(hostnames)):
            assert lines_of(harness.log(), rank) == ["setup", f"prepared by {rank}"]

    def test_a_setup_that_fails_on_one_node_ends_all(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        setup = 'if [ "$ZHISUAN_NODE_RANK" = 1 ]; then exit 6; fi'
        seen = self.run(harness, hostnames, "sleep 600", setup=setup)
        assert (seen.reason, seen.exit_code) == (ExitReason.setup_failed, 6)
        assert "1" in (seen.message or "")

    def test_archives_are_there_on_every_node(
        self, harness: Harness, hostnames: tuple[str, ...], tmp_path: Path
    ) -> None:
        work = pack(tmp_path / "w.tgz", {"in.txt": "work\n"})
        data = pack(tmp_path / "d.tgz", {"in.txt": "data\n"})
        seen = self.run(
            harness,
            hostnames,
            "cat in.txt data/in.txt; echo $rank >> in.txt",
            workdir_archive=work,
            mounts=(FileMount(data, "data"),),
        )
        assert seen.reason is ExitReason.completed, harness.log()
        for rank in range(len(hostnames)):
            assert lines_of(harness.log(), rank) == ["work", "data"]

    @pytest.mark.parametrize("failing", [0, 1])
    def test_the_first_node_that_fails_ends_all(
        self, harness: Harness, hostnames: tuple[str, ...], failing: int
    ) -> None:
        seen = self.run(harness, hostnames, f"[ $rank = {failing} ] && exit 9; echo waiting; exec sleep 600")
        assert (seen.reason, seen.exit_code) == (ExitReason.failed, 9)
        assert str(failing) in (seen.message or "")
        assert seen.started_at is not None
        assert seen.ended_at is not None
        assert seen.ended_at - seen.started_at < timedelta(seconds=60)

    def test_it_is_completed_only_when_all_are(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        """A node that ends with 0 first ends nobody else, and leaves the run running."""
        self.start(harness, hostnames, "[ $rank = 0 ] && { echo done; exit 0; }; echo on; sleep 8; echo late")
        harness.said("[0] done")
        harness.said("[1] on")
        # What a node wrote may be here a moment before its start is told.
        assert harness.until(lambda seen: seen.phase is not RunPhase.preparing).phase is RunPhase.running
        seen = harness.ended()
        assert seen.reason is ExitReason.completed
        assert lines_of(harness.log(), 1) == ["on", "late"]

    def test_stop_reaches_every_node(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        self.start(harness, hostnames, "trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.1; done")
        for rank in range(len(hostnames)):
            harness.said(f"[{rank}] ready")
        harness.engine.stop("lease_a", 1, 60)
        assert harness.ended().reason is ExitReason.cancelled
        for rank in range(len(hostnames)):
            assert {"ready", "saved"} <= set(lines_of(harness.log(), rank))

    def test_stop_kills_every_node_that_does_not_end(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        self.start(harness, hostnames, "trap '' TERM; echo ready; while :; do sleep 0.1; done")
        for rank in range(len(hostnames)):
            harness.said(f"[{rank}] ready")
        harness.engine.stop("lease_a", 1, 1)
        assert harness.ended().reason is ExitReason.cancelled

    def test_time_that_is_used_up_ends_every_node(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        seen = self.run(harness, hostnames, "echo ready; exec sleep 600", max_seconds=2)
        assert seen.reason is ExitReason.timed_out
        assert "2 second" in (seen.message or "")
        for rank in range(len(hostnames)):
            assert lines_of(harness.log(), rank) == ["ready"]

    def test_artifacts_and_progress_are_those_of_rank_0(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        script = """
        echo "weights of $rank" > $ZHISUAN_ARTIFACTS/weights
        echo "{\\"fraction\\": 0.$((rank + 5)), \\"message\\": \\"rank $rank\\"}" >> $ZHISUAN_PROGRESS
        """
        seen = self.run(harness, hostnames, script)
        assert seen.reason is ExitReason.completed, harness.log()
        assert seen.progress is not None
        assert (seen.progress.fraction_ppm, seen.progress.message) == (500_000, "rank 0")
        found = list(iter_artifacts(harness.engine.artifacts_dir("lease_a", 1)))
        assert [one.path for one in found] == ["weights"]
        with found[0].open() as file:
            assert file.read() == b"weights of 0\n"

    def test_a_reopened_engine_takes_up_the_gang(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        self.start(harness, hostnames, "echo on; while [ ! -e end ]; do sleep 0.1; done")
        for rank in range(len(hostnames)):
            harness.said(f"[{rank}] on")
        before = harness.until(lambda seen: seen.phase is RunPhase.running)
        harness.reopen()
        assert harness.engine.list() == [("lease_a", 1)]
        assert harness.engine.observe("lease_a", 1).started_at == before.started_at
        harness.engine.stop("lease_a", 1, 0)
        first = harness.ended()
        assert first.reason is ExitReason.cancelled
        harness.reopen()
        assert harness.engine.observe("lease_a", 1) == first

    def test_a_run_of_one_node_has_no_prefix(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        seen = self.run(harness, hostnames[-1:], "echo alone $rank $ZHISUAN_NUM_NODES")
        assert seen.reason is ExitReason.completed, harness.log()
        assert harness.log() == "alone 0 1\n"

    def test_a_host_that_is_not_there_is_refused(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        with pytest.raises(InvalidSpec, match="nowhere"):
            self.start(harness, (hostnames[0], "nowhere"), "true")
        with pytest.raises(UnknownRun):
            harness.engine.observe("lease_a", 1)

    def test_the_same_host_twice_is_refused(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        with pytest.raises(InvalidSpec, match="twice"):
            self.start(harness, (hostnames[0], hostnames[0]), "true")
