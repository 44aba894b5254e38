"""The real agent, the real local engine, a server that speaks the wire."""

import hashlib
import io
import json
import stat
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess, offer
from aiohttp import web
from control_server import TOKEN, ControlServer, Seen, assert_tiled, windows_of

from zhisuan.wire.site import LeasePhase

AgentFactory = Callable[..., AgentProcess]
ONE = ("lea_one", 1)


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_one_job_from_offer_to_the_end(server: ControlServer, agents: AgentFactory) -> None:
    agent = agents().start()
    inventory = server.wait("inventory", lambda seen: seen.inventories)[0]
    script = """
        echo first
        echo '{"fraction": 0.25, "message": "a quarter"}' >> "$ZHISUAN_PROGRESS"
        sleep 1.2
        mkdir -p "$ZHISUAN_ARTIFACTS/sub"
        echo result > "$ZHISUAN_ARTIFACTS/sub/x.txt"
        echo last
        exit 3
    """
    server.offer(offer(ONE[0], script))
    end = server.wait_complete(ONE)

    assert (end.phase, end.exit_code, end.reason) == (LeasePhase.exited, 3, "failed")
    assert server.seen.logs[ONE] == b"first\nlast\n"
    assert server.seen.artefacts[ONE] == {"sub/x.txt": b"result\n"}
    assert_tiled(windows_of(server.seen, ONE), end)
    phases = [report.phase for _, report in server.seen.reports[ONE]]
    assert list(dict.fromkeys(phases)) == [LeasePhase.accepted, LeasePhase.running, LeasePhase.exited]
    told = [r.progress for _, r in server.seen.reports[ONE] if r.progress is not None]
    assert told[0].fraction_ppm == 250_000
    assert told[0].message == "a quarter"

    [joined] = server.seen.joins
    kept = agent.data_dir / "credential.json"
    credential = json.loads(kept.read_text())["credential"]
    assert joined.credential_digest == hashlib.sha256(credential.encode()).hexdigest()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    [node] = inventory.nodes
    devices = {device.key: device for device in node.devices}
    assert devices["cpu"].capacity >= 1000
    assert devices["cpu"].capacity % 1000 == 0
    assert 0 < devices["memory"].capacity <= (devices["memory"].memory_mib or 0)
    assert inventory.engine.engine == "local"
    assert agent.stop() == 0
    assert "Traceback" not in agent.log


def test_stopping_the_agent_leaves_the_work_and_the_next_one_takes_it_up(
    server: ControlServer, agents: AgentFactory
) -> None:
    agent = agents().start()
    server.offer(offer(ONE[0], 'echo begun; echo x >> "$ZHISUAN_ARTIFACTS/starts"; sleep 3; echo done'))
    server.wait_phase(ONE, LeasePhase.running)
    assert agent.stop() == 0
    agent.start()
    end = server.wait_complete(ONE)
    assert (end.reason, end.exit_code) == ("completed", 0)
    assert server.seen.logs[ONE] == b"begun\ndone\n"
    assert server.seen.artefacts[ONE] == {"starts": b"x\n"}
    assert len(server.seen.joins) == 1
    assert_tiled(windows_of(server.seen, ONE), end)


def test_a_server_that_is_away_loses_nothing(server: ControlServer, agents: AgentFactory) -> None:
    agents().start()
    server.offer(offer(ONE[0], 'for i in 1 2 3 4 5; do echo line $i; sleep 0.3; done; echo r > "$ZHISUAN_ARTIFACTS/r"'))
    server.wait_phase(ONE, LeasePhase.running)
    server.stop()
    time.sleep(2.5)
    server.start()
    end = server.wait_complete(ONE, 120)
    assert (end.reason, end.exit_code) == ("completed", 0)
    assert server.seen.logs[ONE] == b"".join(b"line %d\n" % i for i in range(1, 6))
    assert server.seen.artefacts[ONE] == {"r": b"r\n"}
    assert_tiled(windows_of(server.seen, ONE), end)


def test_a_lease_told_to_stop_stops_with_its_grace(server: ControlServer, agents: AgentFactory) -> None:
    agents().start()
    running = offer(ONE[0], "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done", grace_seconds=200)
    server.offer(running)
    server.wait("its output", lambda seen: seen.logs.get(ONE))
    asked = time.monotonic()
    server.offer(running.model_copy(update={"desired": "stop"}))
    end = server.wait_complete(ONE)
    assert end.reason == "cancelled"
    assert server.seen.logs[ONE].endswith(b"bye\n")
    assert time.monotonic() - asked < 150
    assert_tiled(windows_of(server.seen, ONE), end)


def test_a_lease_no_longer_listed_ends_is_delivered_and_never_runs_again(
    server: ControlServer, agents: AgentFactory
) -> None:
    agent = agents().start()
    wanted = offer(ONE[0], 'echo x >> "$ZHISUAN_ARTIFACTS/starts"; echo up; sleep 60', grace_seconds=1)
    server.offer(wanted)
    server.wait("its output", lambda seen: seen.logs.get(ONE))
    server.withdraw(ONE)
    end = server.wait_complete(ONE)
    assert end.reason == "cancelled"
    assert server.seen.artefacts[ONE] == {"starts": b"x\n"}
    runs = agent.data_dir / "engine" / "runs"
    server.wait("a further sync", lambda seen: not any(runs.iterdir()) or None)

    told = len(server.seen.reports[ONE])
    server.offer(wanted)
    server.wait("the end told again", lambda seen: len(seen.reports[ONE]) > told)
    assert server.seen.reports[ONE][-1][1] == server.seen.reports[ONE][told - 1][1]
    assert not any(runs.iterdir())


def test_a_newer_generation_takes_the_place_of_the_older(server: ControlServer, agents: AgentFactory) -> None:
    agents().start()
    server.offer(offer(ONE[0], "echo one; sleep 60", grace_seconds=1))
    server.wait("output of generation 1", lambda seen: seen.logs.get(ONE))
    two = (ONE[0], 2)
    server.offer(offer(ONE[0], "echo two", generation=2))
    second = server.wait_complete(two)
    first = server.wait_complete(ONE)
    assert first.reason == "cancelled"
    assert second.reason == "completed"
    assert first.ended_at is not None
    assert second.started_at is not None
    assert first.ended_at <= second.started_at
    assert (server.seen.logs[ONE], server.seen.logs[two]) == (b"one\n", b"two\n")


def test_archives_are_fetched_once_and_unpacked(server: ControlServer, agents: AgentFactory) -> None:
    server.blobs = {"blb_work": archive({"hello.txt": "hello"}), "blb_data": archive({"d.txt": "data"})}
    agents().start()
    mounts = ({"blob_id": "blb_data", "target": "~/in"},)
    for lease_id in ("lea_one", "lea_two"):
        server.offer(offer(lease_id, "cat hello.txt ~/in/d.txt", workdir_blob="blb_work", mounts=mounts))
    for lease_id in ("lea_one", "lea_two"):
        assert server.wait_complete((lease_id, 1)).reason == "completed"
        assert server.seen.logs[(lease_id, 1)] == b"hellodata"
    assert sorted(server.seen.blobs_fetched) == ["blb_data", "blb_work"]


def test_an_archive_that_comes_damaged_is_fetched_again(server: ControlServer, agents: AgentFactory) -> None:
    server.blobs = {"blb_work": archive({"hello.txt": "hello"})}
    spoilt: list[str] = []

    def spoil(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" not in request.path or len(spoilt) >= 2:
            return None
        spoilt.append(request.path)
        return web.Response(body=b"half of it", headers={"x-content-sha256": "00"})

    server.faults.append(spoil)
    agents().start()
    server.offer(offer(ONE[0], "cat hello.txt", workdir_blob="blb_work"))
    assert server.wait_complete(ONE).reason == "completed"
    assert len(spoilt) == 2


def test_what_cannot_start_says_why(server: ControlServer, agents: AgentFactory) -> None:
    agents().start()
    server.offer(offer("lea_blob", "true", workdir_blob="blb_none"))
    server.offer(offer("lea_card", "true", nodes=[{"hostname": "here", "devices": [{"key": "GPU-1", "kind": "accelerator", "amount": 1000}]}]))
    server.offer(offer("lea_late", "true", desired="stop"))
    blob = server.wait_complete(("lea_blob", 1))
    assert (blob.reason, blob.started_at) == ("invalid_spec", None)
    assert "There is no blob blb_none here." in (blob.message or "")
    card = server.wait_complete(("lea_card", 1))
    assert (card.reason, card.started_at) == ("start_failed", None)
    assert "GPU-1" in (card.message or "")
    late = server.wait_complete(("lea_late", 1))
    assert (late.reason, late.started_at) == ("cancelled", None)
    assert server.seen.windows == {}


def test_only_the_artefacts_asked_for_and_no_links(server: ControlServer, agents: AgentFactory) -> None:
    agents().start()
    script = """
        cd "$ZHISUAN_ARTIFACTS"
        mkdir -p model/deep
        echo w > model/deep/weights; echo c > model/config; echo s > scratch; : > empty
        ln -s /etc/passwd model/users; ln -s /etc outside
    """
    asked = ["model/", "empty", "outside", "absent", "../work"]
    server.offer(offer(ONE[0], script, artefacts=asked))
    end = server.wait_complete(ONE)
    assert server.seen.artefacts[ONE] == {"model/config": b"c\n", "model/deep/weights": b"w\n", "empty": b""}
    for name in ("outside", "absent", "../work"):
        assert repr(name) in (end.message or "")


def test_a_log_over_the_servers_limit_is_said_and_holds_up_nothing(server: ControlServer, agents: AgentFactory) -> None:
    server.log_bytes_max = 10
    agents().start()
    server.offer(offer(ONE[0], "echo 0123456789abcdef; sleep 1; echo more"))
    end = server.wait_complete(ONE)
    assert end.reason == "completed"
    assert "The log of this lease is full." in (end.message or "")


def test_a_big_log_and_a_big_artefact_come_whole(server: ControlServer, agents: AgentFactory) -> None:
    agents().start()
    script = 'seq 1 500000; head -c 20000000 /dev/zero | tr "\\0" "z" > "$ZHISUAN_ARTIFACTS/big"; seq 1 5'
    server.offer(offer(ONE[0], script))
    server.wait_complete(ONE, 120)
    numbers = "".join(f"{i}\n" for i in range(1, 500_001)) + "1\n2\n3\n4\n5\n"
    assert server.seen.logs[ONE] == numbers.encode()
    assert server.seen.artefacts[ONE] == {"big": b"z" * 20_000_000}


def test_a_service_is_ready_once_it_answers_and_not_when_it_stops_answering(
    server: ControlServer, agents: AgentFactory, tmp_path: Path
) -> None:
    server.gateway_url = server.url
    agents().start()
    script = """
        sleep 0.5
        mkdir w; echo ok > w/health
        python3 -m http.server 8000 --bind 127.0.0.1 --directory w 2>/dev/null &
        sleep 3; rm w/health; wait
    """
    server.offer(offer(ONE[0], script, service_port=8000, readiness_path="/health", grace_seconds=1))

    def told(ready: bool) -> Callable[[Seen], bool]:
        return lambda seen: any(r.ready is ready for _, r in seen.reports[ONE])

    server.wait("not ready", told(False))
    server.wait("ready", told(True))
    at = len(server.seen.reports[ONE])
    server.wait("not ready any more", lambda seen: any(r.ready is False for _, r in seen.reports[ONE][at:]), 120)
    server.withdraw(ONE)
    assert server.wait_complete(ONE).ready is None


def test_a_credential_that_is_revoked_ends_the_agent(server: ControlServer, agents: AgentFactory) -> None:
    agent = agents().start()
    server.wait("inventory", lambda seen: seen.inventories)
    server.credential_digest = "0" * 64
    server.withdraw(("lea_none", 1))
    assert agent.wait() == 4
    assert "does not accept this site's credential" in agent.log
    assert "join token" in agent.log
    assert "Traceback" not in agent.log


def test_ways_not_to_begin(server: ControlServer, agents: AgentFactory) -> None:
    assert agents(join_token="jtk_wrong").start().wait() == 3
    assert agents(join_token=None).start().wait() == 2
    misspelt = agents(server="x").start()
    assert misspelt.wait() == 2
    assert "server" in misspelt.log

    good = agents().start()
    server.wait("inventory", lambda seen: seen.inventories)
    second = AgentProcess(good.data_dir.parent, server.url).start()
    assert second.wait() == 5
    assert f"process {good.pid}" in second.log
    good.kill()
    for name in ("journal.db-wal", "journal.db-shm"):
        (good.data_dir / name).unlink(missing_ok=True)
    (good.data_dir / "journal.db").write_bytes(b"no database" * 1000)
    assert good.start().wait() == 6
    assert "Traceback" not in good.log + second.log + misspelt.log


def test_a_kill_between_asking_to_join_and_hearing_is_repaired(server: ControlServer, agents: AgentFactory) -> None:
    agent = agents().start()
    server.wait("joined", lambda seen: seen.inventories)
    agent.kill()
    kept = agent.data_dir / "credential.json"
    before = json.loads(kept.read_text())
    kept.write_text(json.dumps({"credential": before["credential"]}))
    agent.start()
    server.wait("joined again", lambda seen: len(seen.inventories) == 2)
    assert json.loads(kept.read_text()) == before
    assert len({joined.credential_digest for joined in server.seen.joins}) == 1
    assert {joined.token for joined in server.seen.joins} == {TOKEN}


@pytest.mark.parametrize("fresh", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_machine_is_measured_once_a_boot_or_when_asked(
    server: ControlServer, agents: AgentFactory, fresh: bool
) -> None:
    budget = {"gemm_ms": 700, "memory_ms": 300, "disk_ms": 300, "disk_mib": 4}
    agent = agents(probe={"enabled": True, "fresh": fresh, "budget": budget}).start()
    server.wait("inventory", lambda seen: seen.inventories, 120)
    assert "Measuring (1 of " in agent.log
    agent.stop()
    measured_lines = agent.log.count("Measuring (1 of ")
    agent.start()
    server.wait("the second inventory", lambda seen: len(seen.inventories) == 2, 120)
    first, second = ({d.key: d.measurements for d in i.nodes[0].devices} for i in server.seen.inventories)
    assert {m.precision for m in first["cpu"]} >= {"fp32", "fp64"}
    assert all(m.mflops > 0 for m in first["cpu"])
    assert (second == first) is not fresh
    assert agent.log.count("Measuring (1 of ") == measured_lines * (2 if fresh else 1)
