"""The joining machine against the real API over a real connection: preflight, registering, and a credential that is
replaced while the agent may be killed at any point."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from api_world import SiteAgentTwin, World, number

import zhisuan.site.rotation
from zhisuan.app.joining.asked import Asked, config_of
from zhisuan.app.joining.server import ServerLook, examine_server
from zhisuan.base.clock import ManualClock
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.site.backoff import Backoff, Link
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import CredentialRevoked, JoinRefused
from zhisuan.site.identity import Identity, establish, keep, load
from zhisuan.site.rotation import Rotation
from zhisuan.wire.joining import SiteRegistration, SiteStanding


@contextmanager
def served(world: World) -> Iterator[str]:
    """The world's API on a loopback port."""
    config = uvicorn.Config(world.client.app, host="127.0.0.1", port=0, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world) as address:
        yield address


def invite(world: World) -> tuple[str, str]:
    """(site id, join token)."""
    made = world.sign_up("provider").post("/sites", {"name": f"s{number()}", "region": "CN-AH", "pue_milli": 1400})
    return made["site"]["id"], made["join_token"]


def look(world: World, url: str, folder: Path, token: str | None, **more: Any) -> ServerLook:
    config = config_of(Asked(url=url, token=token, data_dir=folder))
    clock = more.pop("clock", world.clock)
    identity = more.pop("identity", load(folder))
    return asyncio.run(examine_server(config, clock, token=token, identity=identity, joins=more.pop("joins", True)))


def verdicts(found: ServerLook) -> dict[str, str]:
    return {f.name: f.verdict for f in found.findings}


async def joined(
    url: str, folder: Path, token: str, clock: ManualClock, said: SiteRegistration | None = None
) -> Identity:
    client = ServerClient(url)
    try:
        return await establish(
            folder, token, client, TimeOrderedIds(clock), Backoff(lambda: 0.0), Link(), registration=said
        )
    finally:
        await client.close()


# --- preflight


def test_a_good_way_to_a_good_platform(world: World, url: str, tmp_path: Path) -> None:
    _, token = invite(world)
    found = look(world, url, tmp_path, token)
    assert verdicts(found) == {"server": "ok", "round_trip": "ok", "clock": "ok", "token": "ok"}
    assert found.greeting is not None
    assert 0 < found.greeting.round_trip.best_us <= found.greeting.round_trip.median_us < 5_000_000


@pytest.mark.parametrize(
    ("seconds", "verdict", "word"),
    [(600, "fail", "ahead of"), (-600, "fail", "behind"), (4, "warn", "ahead of"), (1, "ok", "agrees")],
)
def test_a_clock_that_is_off_is_said_and_far_off_stops(
    world: World, url: str, tmp_path: Path, seconds: int, verdict: str, word: str
) -> None:
    _, token = invite(world)
    clock = ManualClock(world.clock.now() + timedelta(seconds=seconds))
    found = look(world, url, tmp_path, token, clock=clock)
    finding = next(f for f in found.findings if f.name == "clock")
    assert (finding.verdict, word in finding.what.en) == (verdict, True)
    if verdict != "ok":
        assert finding.remedy is not None and "timedatectl" in finding.remedy.zh


@pytest.mark.parametrize("state", ["used", "unknown", "none"])
def test_a_token_that_is_no_use_stops_before_anything_is_done(
    world: World, url: str, tmp_path: Path, state: str
) -> None:
    _, token = invite(world)
    if state == "used":
        (tmp_path / "first").mkdir()
        asyncio.run(joined(url, tmp_path / "first", token, world.clock))
    given = {"used": token, "unknown": "zsj_nothing", "none": None}[state]
    found = look(world, url, tmp_path / "second", given)
    assert verdicts(found)["token"] == "fail"
    assert verdicts(look(world, url, tmp_path / "second", None, joins=False))["token"] == "warn"


@pytest.mark.parametrize(
    ("url", "word"),
    [("http://127.0.0.1:9", "refused"), ("http://nowhere.invalid", "not known"), ("https://127.0.0.1:9", "refused")],
)
def test_a_server_that_is_not_there_is_said_in_its_own_way(world: World, tmp_path: Path, url: str, word: str) -> None:
    found = look(world, url, tmp_path, None)
    assert verdicts(found) == {"server": "fail"}
    assert word in found.findings[0].what.en


def test_something_else_that_answers_is_no_platform(world: World, tmp_path: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: Any) -> None:
            return None

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found = look(world, f"http://127.0.0.1:{server.server_port}", tmp_path, None)
        server.shutdown()
        thread.join()
    assert "no platform answers" in found.findings[-1].what.en


def test_a_folder_of_one_site_is_not_given_to_another(world: World, url: str, tmp_path: Path) -> None:
    _, token = invite(world)
    asyncio.run(joined(url, tmp_path, token, world.clock))
    assert verdicts(look(world, url, tmp_path, None))["site"] == "ok"
    _, other = invite(world)
    assert verdicts(look(world, url, tmp_path, other))["token"] == "fail"


def test_a_revoked_site_needs_a_new_token_of_its_own(world: World, url: str, tmp_path: Path) -> None:
    site, token = invite(world)
    asyncio.run(joined(url, tmp_path, token, world.clock))
    world.operator.post(f"/sites/{site}/revoke", {})
    assert verdicts(look(world, url, tmp_path, None))["token"] == "fail"
    _, other = invite(world)
    assert verdicts(look(world, url, tmp_path, other))["token"] == "fail"


# --- registering


def test_what_the_provider_says_goes_with_the_token(world: World, url: str, tmp_path: Path) -> None:
    site, token = invite(world)
    said = SiteRegistration(city="合肥", pue_milli=1210, tariff_ucny_per_kwh=400_000)
    assert asyncio.run(joined(url, tmp_path, token, world.clock, said)).site_id == site
    view = world.operator.get(f"/sites/{site}")
    assert (view["city"], view["pue_milli"], view["tariff_ucny_per_kwh"]) == ("合肥", 1210, 400_000)


def test_a_refused_token_is_said_in_both_languages_with_what_to_do(world: World, url: str, tmp_path: Path) -> None:
    _, token = invite(world)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    asyncio.run(joined(url, tmp_path / "one", token, world.clock))
    with pytest.raises(JoinRefused) as caught:
        asyncio.run(joined(url, tmp_path / "two", token, world.clock))
    assert "used before" in caught.value.what.en
    assert "已被使用" in caught.value.what.zh
    assert "zhisuan site token" in caught.value.remedy.en


# --- a new credential


class Killed(BaseException):
    """The agent's process has ended."""


class Fate:
    """Kills at the ``at``-th of the moments that are counted; never for a negative one."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def moment(self) -> None:
        self.count += 1
        if self.count - 1 == self.at:
            raise Killed


class MortalClient(ServerClient):
    """Dies before a call goes out, or after the server has done it and before the answer is heard."""

    fate: Fate

    async def send_credential(self, digest: str) -> SiteStanding:
        return await self._doomed(lambda: super(MortalClient, self).send_credential(digest))

    async def standing(self) -> SiteStanding:
        return await self._doomed(super().standing)

    async def _doomed(self, call: Callable[[], Awaitable[SiteStanding]]) -> SiteStanding:
        self.fate.moment()
        answer = await call()
        self.fate.moment()
        return answer


async def rotate(url: str, folder: Path, world: World, fate: Fate) -> str:
    """One agent's life: settle, rotate; the credential that it works with then."""
    identity = load(folder)
    assert identity is not None
    client = MortalClient(url)
    client.fate = fate
    clock = world.clock
    rotation = Rotation(folder, identity, client, clock, TimeOrderedIds(clock), Link(), lambda: 0.0)
    try:
        await rotation.settle()
        await rotation.rotate()
    finally:
        await client.close()
    return str(client.credential)


async def accepted(url: str, credential: str) -> bool:
    client = ServerClient(url, credential=credential)
    try:
        await client.standing()
    except CredentialRevoked:
        return False
    finally:
        await client.close()
    return True


def test_a_kill_at_any_moment_leaves_an_agent_that_is_let_in(
    world: World, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fate = Fate(-1)

    def mortal_keep(folder: Path, identity: Identity) -> None:
        fate.moment()
        keep(folder, identity)
        fate.moment()

    monkeypatch.setattr(zhisuan.site.rotation, "keep", mortal_keep)
    _, token = invite(world)
    asyncio.run(joined(url, tmp_path, token, world.clock))
    asyncio.run(rotate(url, tmp_path, world, fate))
    moments = fate.count
    assert moments == 8, "two files, two calls, before and after each"
    for at in range(moments):
        before = load(tmp_path)
        assert before is not None
        fate = Fate(at)
        with pytest.raises(Killed):
            asyncio.run(rotate(url, tmp_path, world, fate))
        fate = Fate(-1)
        credential = asyncio.run(rotate(url, tmp_path, world, fate))
        after = load(tmp_path)
        assert after is not None and after.credential == credential and not after.next_credential
        assert credential != before.credential
        assert asyncio.run(accepted(url, credential)), f"killed at {at}"
        assert not asyncio.run(accepted(url, before.credential)), f"killed at {at}"


def test_calls_on_their_way_outlive_a_new_credential(world: World, url: str, tmp_path: Path) -> None:
    """A call that left with the old credential and arrives after the new one was used is repeated, and ends no agent."""
    from zhisuan.site.errors import Unreachable

    site = SiteAgentTwin(world)
    world.operator.post(f"/sites/{site.id}/revoke", {})

    async def run() -> None:
        client = ServerClient(url, credential=str(site.agent.key))
        original = client._open

        def slow_open() -> Any:
            client.credential = "zsc_already_new"
            return original()

        client._open = slow_open  # type: ignore[method-assign]
        try:
            with pytest.raises(Unreachable):
                await client.standing()
        finally:
            await client.close()

    asyncio.run(run())


def test_a_revoked_agent_is_told_what_to_do(world: World, url: str) -> None:
    site = SiteAgentTwin(world)
    world.operator.post(f"/sites/{site.id}/revoke", {"reason": "test"})

    async def ask() -> None:
        client = ServerClient(url, credential=str(site.agent.key))
        try:
            await client.standing()
        finally:
            await client.close()

    with pytest.raises(CredentialRevoked) as caught:
        asyncio.run(ask())
    assert caught.value.exit_status == 4
    assert "zhisuan site join" in caught.value.remedy.en
