"""Nothing is left behind, and nothing goes that anybody names or is still bringing."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pytest
from api_world import PASSWORD, Person, SiteAgentTwin, World
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from zhisuan.app.bootstrap import OPERATOR_EMAIL
from zhisuan.base.packs import head
from zhisuan.data import collecting, content, sweeping
from zhisuan.execution.checkpoints import CHECKPOINTS_KEPT
from zhisuan.execution.tables import CheckpointBlob

FILE = "name: it\nresources: {cpus: 1, memory: 1}\nrun: 'true'\nzhisuan: {checkpoint: {every: 5m}}\n"
DAY = 25 * 3600


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Run:
    """Work at a site that saves checkpoints as an agent does."""

    def __init__(self, world: World, owner: Person, site: SiteAgentTwin) -> None:
        self.site = site
        self.workload = owner.post("/workloads", {"file": FILE})["workload"]["id"]
        world.reconcile("place")
        self.running = self.site.start(next(o for o in self.site.sync() if o["workload_id"] == self.workload))
        self.where = f"/wire/v1/checkpoints/{self.running['lease_id']}/{self.running['generation']}"

    def offer(self, files: dict[str, bytes]) -> Any:
        listed = [{"path": p, "sha256": digest_of(d), "size_bytes": len(d)} for p, d in files.items()]
        answer = self.site.agent.call("POST", self.where, json={"files": listed})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, data: bytes) -> None:
        assert self.site.agent.call("PUT", f"{self.where}/{digest_of(data)}", content=data).status_code in (204, 503)

    def save(self, files: dict[str, bytes]) -> Any:
        for sha256 in self.offer(files)["missing"]:
            self.send(next(d for d in files.values() if digest_of(d) == sha256))
        return self.offer(files)


def stored(world: World, *contents: bytes) -> list[bool]:
    return [world.platform.store.has(digest_of(c)) for c in contents]


def swept(world: World) -> sweeping.Amount:
    with world.database.begin() as tx:
        return sweeping.lately(tx)


def age(world: World, data: bytes, at: datetime) -> None:
    """Let the stored bytes be as old as that."""
    path = Path(world.platform.store.spool).parent / digest_of(data)[:2] / digest_of(data)
    os.utime(path, (at.timestamp(), at.timestamp()))


def test_bytes_of_superseded_checkpoints_go_and_those_of_the_kept_stay(world: World) -> None:
    owner = world.tenant()
    run = Run(world, owner, SiteAgentTwin(world))
    steps = [b"step %d" % n for n in range(CHECKPOINTS_KEPT + 2)]
    for data in steps:
        run.save({"step": data, "always": b"the same"})
    run.offer({"never": b"listed whole"})
    run.send(b"listed whole")
    world.reconcile("collect")
    assert all(stored(world, *steps, b"listed whole")), "kept for a day"
    before = swept(world)
    world.pass_time(DAY)
    world.reconcile("collect")
    assert stored(world, *steps) == [False] * 2 + [True] * CHECKPOINTS_KEPT
    assert stored(world, b"the same", b"listed whole") == [True, False]
    after = swept(world)
    gone = len(steps[0]) + len(steps[1]) + len(b"listed whole")
    assert (after.file_count - before.file_count, after.size_bytes - before.size_bytes) == (3, gone)
    operator = world.anyone().post("/sessions", {"email": OPERATOR_EMAIL, "password": PASSWORD})["secret"]
    assert Person(world.client, operator).get("/overview")["swept"] == {"days": 30, "file_count": after.file_count, "size_bytes": after.size_bytes}
    with world.database.begin() as tx:
        kept = tx.session.get_one(CheckpointBlob, (owner.org_id, digest_of(b"the same")))
        assert kept.touched_at == tx.now, "what is named is not looked at again for another while"
    assert run.save({"step": steps[0]})["number"] == len(steps) + 1, "what went is brought again"
    assert stored(world, steps[0]) == [True]


def test_the_same_bytes_in_a_volume_or_of_another_organisation_stay(world: World) -> None:
    one, two = world.tenant(), world.tenant()
    site = SiteAgentTwin(world)
    mine, theirs = Run(world, one, site), Run(world, two, site)
    for n in range(CHECKPOINTS_KEPT + 1):
        mine.save({"step": b"both have it" if n == 0 else b"next %d" % n, "data": b"in a volume" if n == 0 else b"x"})
    theirs.save({"step": b"both have it"})
    data = b"in a volume"
    one.call("PUT", f"/content/{digest_of(data)}", content=data)
    one.post("/volumes", {"name": "v"})
    put = [{"path": "f", "size_bytes": len(data), "sha256": digest_of(data)}]
    one.post("/volumes/v/versions", {"base": 0, "put": put})
    world.pass_time(DAY)
    world.reconcile("collect")
    assert stored(world, b"both have it", data) == [True, True]


def test_a_current_checkpoint_can_always_be_read(world: World) -> None:
    """Checkpoints, uploads of the same bytes and collecting in any order and at once."""
    owner = world.tenant()
    run = Run(world, owner, SiteAgentTwin(world))
    current: dict[str, bytes] = {}

    def act(step: str, files: dict[str, bytes]) -> None:
        racing = threading.Thread(target=world.reconcile, args=("collect",))
        if step == "both":
            racing.start()
        if step in ("save", "both") and run.save(files)["checkpoint_id"]:
            current.update(files)
        elif step == "bring":
            owner.call("PUT", f"/content/{digest_of(files['a'])}", content=files["a"])
        elif step == "wait":
            world.pass_time(DAY)
        elif step == "collect":
            world.reconcile("collect")
        if step == "both":
            racing.join()

    @settings(max_examples=8, phases=[Phase.generate])
    @given(st.lists(st.tuples(st.sampled_from(["save", "bring", "wait", "collect", "both"]), st.integers(0, 8)), min_size=5, max_size=12))
    def any_order(steps: list[tuple[str, int]]) -> None:
        for step, number in steps:
            act(step, {"a": b"a %d" % (number % 3), "b": b"b %d" % (number // 3)})
        world.reconcile("collect")
        assert all(stored(world, *current.values()))

    any_order()


def test_bytes_that_no_row_names_go_when_they_are_old(world: World) -> None:
    """A server was killed between keeping and naming."""
    store = world.platform.store
    owner = world.tenant()
    store.keep_small({digest_of(d): d for d in (b"lost", b"new and lost")})
    owner.call("PUT", f"/content/{digest_of(b'named')}", content=b"named")
    archive = owner.post("/blobs", content=b"an old archive")
    assert archive["sha256"] == digest_of(b"an old archive")
    now = world.clock.now()
    for data in (b"lost", b"named", b"an old archive"):
        age(world, data, datetime.fromtimestamp(now.timestamp() - 2 * DAY, now.tzinfo))
    for _ in range(256):
        world.pass_time(1)
        world.pass_time(299)
        prefix = f"{int(world.clock.now().timestamp()) // 300 % 256:02x}"
        if prefix in {digest_of(d)[:2] for d in (b"lost", b"new and lost", b"named", b"an old archive")}:
            world.reconcile("collect")
    assert stored(world, b"lost", b"new and lost", b"named", b"an old archive") == [False, True, True, True]


HOLDING = """
import sys, time
from zhisuan.base.store import Store
incoming = Store(sys.argv[1]).incoming(100)
incoming.write(b"half of it")
incoming._file.flush()
print(incoming.path, flush=True)
time.sleep(600)
"""


def test_half_received_files_go_when_their_process_is_dead_and_only_then(world: World) -> None:
    store = world.platform.store
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, f"file://{store.spool.parent}"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    old = world.clock.now().timestamp() - 2 * DAY
    os.utime(path, (old, old))
    world.reconcile("collect")
    assert path.exists(), "it is old, and still being written"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    os.utime(path)
    world.reconcile("collect")
    assert path.exists(), "nobody writes it, and it is new"
    os.utime(path, (old, old))
    before = swept(world)
    world.reconcile("collect")
    assert not path.exists()
    assert swept(world) == sweeping.Amount(before.file_count + 1, before.size_bytes + len(b"half of it"))


def test_one_server_of_several_clears_away_and_another_goes_on_when_it_dies(world: World) -> None:
    owner = world.tenant()
    owner.call("PUT", f"/content/{digest_of(b'x')}", content=b"x")
    world.pass_time(DAY)
    with world.database.begin() as other:
        assert collecting.alone(other)
        world.reconcile("collect")
        assert stored(world, b"x") == [True]
    world.reconcile("collect")
    assert stored(world, b"x") == [False]


def test_bytes_are_not_taken_away_from_who_is_about_to_name_them(world: World) -> None:
    """The row is not to be seen yet; who takes away waits until it is, or is not."""
    owner, store, data = world.tenant(), world.platform.store, b"about to be named"
    store.keep_small({digest_of(data): data})
    with world.database.begin() as tx:
        collecting.doom(tx, [digest_of(data)])
    racing = threading.Thread(target=lambda: collecting.sweep(world.database, store, lambda *_: set()))
    with world.database.begin() as tx:
        content.add(tx, store, owner.org_id, {digest_of(data): len(data)}, 10**9)
        racing.start()
        racing.join(0.5)
        assert racing.is_alive()
    racing.join()
    assert stored(world, data) == [True]


@pytest.mark.slow
def test_bringing_and_clearing_away_the_same_bytes_at_once_loses_nothing(world: World) -> None:
    """Content is let go the moment that nothing names it, while two organisations bring it, in packs and alone, and commit it."""
    people, contents = [world.tenant(), world.tenant()], [b"content %d" % n for n in range(6)]
    for owner in people:
        owner.post("/volumes", {"name": "v"})
    stop, made, problems, deadline = threading.Event(), [0, 0], [], time.monotonic() + 60

    def clear() -> None:
        while not stop.is_set():
            with world.database.begin() as tx:
                collecting.let_go(tx, datetime.max.replace(tzinfo=UTC))
            collecting.sweep(world.database, world.platform.store, lambda *_: set())

    def bring(who: int) -> None:
        owner = people[who]
        for turn in takewhile(lambda turn: turn < 25 or (not made[who] and time.monotonic() < deadline), count()):
            data = contents[turn % len(contents)]
            body = b"".join(head(digest_of(c), len(c)) + c for c in contents)
            path, body = ("/content/pack", body) if turn % 2 else (f"/content/{digest_of(data)}", data)
            brought = owner.call("POST" if turn % 2 else "PUT", path, content=body)
            put = [{"path": str(turn), "size_bytes": len(data), "sha256": digest_of(data)}]
            answer = owner.call("POST", "/volumes/v/versions", json={"base": made[who], "put": put, "remove": [str(turn - 1)]})
            made[who] = answer.json().get("number", made[who])
            if brought.status_code not in (200, 503) or answer.status_code not in (201, 409):
                problems.append(brought.text + answer.text)

    clearing = [threading.Thread(target=clear) for _ in range(2)]
    bringing = [threading.Thread(target=bring, args=(who,)) for who in range(2)]
    for thread in clearing + bringing:
        thread.start()
    for thread in bringing:
        thread.join()
    stop.set()
    for thread in clearing:
        thread.join()
    assert not problems and all(made)
    for who, owner in enumerate(people):
        for number in range(1, made[who] + 1):
            for file in owner.get("/volumes/v/files", params={"version": number})["items"]:
                assert digest_of(b"".join(world.platform.store.chunks(file["sha256"]))) == file["sha256"]
