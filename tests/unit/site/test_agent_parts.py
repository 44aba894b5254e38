"""The agent's smaller parts, each by itself."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from zhisuan.engines.contract import AcceleratorGrant, NodeGrant
from zhisuan.site.artefacts import select
from zhisuan.site.backoff import FIRST_SECONDS, LAST_SECONDS, Backoff, Link, until_reached
from zhisuan.site.blobs import BlobCache, BlobMissing
from zhisuan.site.config import AgentConfig, read_config, write_config
from zhisuan.site.errors import AgentStop, ConfigUnusable, Refused, Unreachable
from zhisuan.site.identity import Identity, keep, load
from zhisuan.site.runspec import DeviceGone, blob_ids, run_spec
from zhisuan.site.signals import PROGRESS_SECONDS, Pulse
from zhisuan.wire.site import LeaseOffer

# -- artefacts -----------------------------------------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from(["a", "b", "ab", "a b"]), min_size=1, max_size=3).map("/".join)


def test_artefacts_by_name() -> None:
    paths = ["a", "model/config", "model/deep/w", "model2/x"]
    assert select(paths, []) == (paths, [])
    assert select(paths, ["."]) == (paths, [])
    assert select(paths, ["model"]) == (["model/config", "model/deep/w"], [])
    assert select(paths, ["./model/", "model/config", "a"]) == (["a", "model/config", "model/deep/w"], [])
    chosen, notes = select(paths, ["mod", "/etc/passwd", "../a", "model/../../a"])
    assert chosen == []
    assert ["not found" in note for note in notes] == [True, False, False, False]


@given(st.lists(NAMES, unique=True), st.lists(NAMES))
def test_what_is_selected_is_what_lies_under_a_wanted_name(paths: list[str], wanted: list[str]) -> None:
    chosen, notes = select(paths, wanted)
    expected = [p for p in paths if not wanted or any(p == w or p.startswith(w + "/") for w in wanted)]
    assert chosen == expected
    assert len(notes) == sum(not any(p == w or p.startswith(w + "/") for p in paths) for w in wanted)


# -- what the engine is asked --------------------------------------------------------------------------------------------


def an_offer(**fields: Any) -> LeaseOffer:
    values = {
        "lease_id": "lea_a",
        "generation": 1,
        "workload_id": "job_a",
        "workload_name": "a",
        "nodes": [{
            "hostname": "here",
            "devices": [
                {"key": "cpu", "kind": "cpu", "amount": 1500},
                {"key": "memory", "kind": "memory", "amount": 512},
                {"key": "GPU-1", "kind": "accelerator", "amount": 1000},
            ],
        }],
        "setup": "make",
        "run": "true",
        "env": {"A": "b"},
        "max_seconds": 60,
        "workdir_blob": "blb_w",
        "mounts": [{"blob_id": "blb_d", "target": "~/d"}, {"blob_id": "blb_w", "target": "/w"}],
        "service_port": 80,
    }
    return LeaseOffer.model_validate(values | fields)


def test_a_run_is_asked_for_as_offered() -> None:
    offer = an_offer()
    assert blob_ids(offer) == ("blb_d", "blb_w")
    card = AcceleratorGrant("nvidia", 3, "GPU-1")
    spec = run_spec(offer, {"blb_w": Path("/w"), "blb_d": Path("/d")}, {"here": {"GPU-1": card, "GPU-2": card}}, {"TOKEN": "t"})
    assert (spec.setup, spec.run, spec.env, spec.max_seconds) == ("make", "true", {"A": "b", "TOKEN": "t"}, 60)
    assert (spec.cpus_milli, spec.memory_mib, spec.nodes) == (1500, 512, (NodeGrant("here", (card,)),))
    assert spec.workdir_archive == Path("/w")
    assert [(m.archive, m.target) for m in spec.mounts] == [(Path("/d"), "~/d"), (Path("/w"), "/w")]
    assert spec.service is not None
    assert spec.service.port == 80
    with pytest.raises(DeviceGone, match="GPU-1"):
        run_spec(offer, {}, {}, {})


# -- waiting -------------------------------------------------------------------------------------------------------------


def test_pauses_double_to_their_limit_and_begin_anew() -> None:
    whole, half = Backoff(lambda: 0.0), Backoff(lambda: 1.0)
    pauses = [whole.next_seconds() for _ in range(12)]
    assert pauses[:3] == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    assert pauses[-1] == LAST_SECONDS
    assert [half.next_seconds() for _ in range(12)] == [p / 2 for p in pauses]
    whole.reset()
    assert whole.next_seconds() == FIRST_SECONDS


def test_a_call_is_tried_until_the_server_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | str] = [Unreachable("gone"), Unreachable("still gone"), "here"]
    backoff = Backoff(lambda: 0.0)

    async def no_pause() -> None:
        return None

    monkeypatch.setattr(backoff, "pause", no_pause)

    async def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(until_reached(Link(), backoff, call)) == "here"
    answers.append(Refused(409, "conflict", "No."))
    with pytest.raises(Refused):
        asyncio.run(until_reached(Link(), backoff, call))


def test_progress_is_coalesced_and_what_matters_goes_at_once() -> None:
    async def scene() -> None:
        pulse, loop = Pulse(), asyncio.get_running_loop()
        pulse.soon()
        await pulse.wait()
        first = loop.time()
        pulse.soon()
        await pulse.wait()
        assert loop.time() - first >= PROGRESS_SECONDS * 0.9
        second = loop.time()
        pulse.soon()
        loop.call_soon(pulse.now)
        await pulse.wait()
        assert loop.time() - second < PROGRESS_SECONDS * 0.9
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pulse.wait()

    asyncio.run(scene())


# -- archives ------------------------------------------------------------------------------------------------------------


class Archives:
    """A server's archives as the cache sees them through the client."""

    def __init__(self, **blobs: bytes) -> None:
        self.blobs = blobs
        self.fetched: list[str] = []
        self.digest: str | None = None

    @asynccontextmanager
    async def blob(self, blob_id: str) -> AsyncIterator[Any]:
        self.fetched.append(blob_id)
        if blob_id not in self.blobs:
            raise Refused(404, "not_found", "none")
        body = self.blobs[blob_id]

        async def chunks(_size: int) -> AsyncIterator[bytes]:
            await asyncio.sleep(0)
            for start in range(0, len(body), 3):
                yield body[start : start + 3]

        headers = {"x-content-sha256": self.digest or hashlib.sha256(body).hexdigest()}
        content = SimpleNamespace(iter_chunked=chunks)
        yield SimpleNamespace(content=content, headers=headers, content_length=len(body))


def cache(folder: Path, server: Archives, *, bytes_max: int = 100, in_use: tuple[str, ...] = ()) -> BlobCache:
    return BlobCache(folder, server, bytes_max=bytes_max, in_use=lambda: in_use)  # type: ignore[arg-type]


def test_an_archive_is_fetched_once_also_by_two_at_once_and_over_a_restart(tmp_path: Path) -> None:
    server = Archives(a=b"content")

    async def both() -> None:
        blobs = cache(tmp_path, server)
        one, two = await asyncio.gather(blobs.get("a"), blobs.get("a"))
        assert one == two
        assert one.read_bytes() == b"content"

    asyncio.run(both())
    assert asyncio.run(cache(tmp_path, server).get("a")).read_bytes() == b"content"
    assert server.fetched == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == [f"a.7.{hashlib.sha256(b'content').hexdigest()}"]


def test_what_an_earlier_attempt_left_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"half of an earlier attempt")
    assert asyncio.run(cache(tmp_path, Archives(a=b"content")).get("a")).read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == [f"a.7.{hashlib.sha256(b'content').hexdigest()}"]


@pytest.mark.parametrize("damage", [b"contend", b"short"])
def test_a_damaged_archive_is_fetched_again(tmp_path: Path, damage: bytes) -> None:
    server = Archives(a=b"content")
    asyncio.run(cache(tmp_path, server).get("a")).write_bytes(damage)
    assert asyncio.run(cache(tmp_path, server).get("a")).read_bytes() == b"content"
    assert server.fetched == ["a", "a"]


def test_an_archive_that_is_not_what_was_promised_is_not_kept(tmp_path: Path) -> None:
    server = Archives(a=b"content")
    server.digest = "00"
    with pytest.raises(Unreachable, match="damaged"):
        asyncio.run(cache(tmp_path, server).get("a"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["none", "../a", "a.b", "", "a/b"])
def test_an_archive_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(BlobMissing):
        asyncio.run(cache(tmp_path, Archives()).get(name))


def test_the_least_recently_used_archives_make_room_but_none_in_use(tmp_path: Path) -> None:
    server = Archives(a=b"x" * 40, b=b"y" * 40, c=b"z" * 40, d=b"w" * 40)

    async def scene() -> None:
        blobs = cache(tmp_path, server, bytes_max=100, in_use=("b",))
        for number, name in enumerate(["a", "b", "a", "c", "d"]):
            path = await blobs.get(name)
            os.utime(path, (number, number))

    asyncio.run(scene())
    # b is older than a and c, and stays because it is in use.
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["b", "d"]


# -- who it is and what it is told -----------------------------------------------------------------------------------------


def test_the_credential_is_replaced_whole_and_private(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    keep(tmp_path, Identity(credential="zss_1"))
    joined = Identity(credential="zss_1", site_id="site_1", site_name="one", gateway_url="http://127.0.0.1:1")
    keep(tmp_path, joined)
    assert load(tmp_path) == joined
    [path] = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    with pytest.raises(ConfigUnusable, match=r"credential\.json cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"data_dir": "d", "server_url": "ftp://x"}, ["server_url"]),
        ({"server_url": "http://x", "colour": "red"}, ["data_dir", "colour"]),
        ({"data_dir": "d", "server_url": "http://x", "engine": {"uid_base": 0}}, ["uid_base"]),
    ],
)
def test_a_configuration_that_cannot_be_used_names_every_problem(
    tmp_path: Path, content: dict[str, Any], said: list[str]
) -> None:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigUnusable) as caught:
        read_config(path)
    assert all(name in str(caught.value) for name in said)
    with pytest.raises(ConfigUnusable, match="No such file"):
        read_config(tmp_path / "none.json")


def test_a_written_configuration_reads_back_and_is_private(tmp_path: Path) -> None:
    config = AgentConfig(
        data_dir=tmp_path, server_url="http://127.0.0.1:1", join_token=SecretStr("jtk_1"), exit_with_parent=True
    )
    path = tmp_path / "agent.json"
    write_config(config, path)
    assert read_config(path) == config
    assert path.stat().st_mode & 0o777 == 0o600


def test_every_way_to_end_has_a_status_of_its_own() -> None:
    statuses = [kind.exit_status for kind in AgentStop.__subclasses__()]
    assert sorted(statuses) == [2, 3, 4, 5, 6]
