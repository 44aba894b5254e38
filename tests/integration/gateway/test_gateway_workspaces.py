"""Workspaces through the real gateway and a real tunnel: HTTP and WebSocket both ways, who gets in, and what breaks."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from gateway_servers import City, eventually
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from workspace_double import BASE, OTHER, OWNER, STRANGER, TOKEN, WORKSPACE, Session, with_workspace

from zhisuan.base.secrets import digest
from zhisuan.wire.frames import WINDOW_BYTES

pytestmark = pytest.mark.anyio
KEY = {"Authorization": f"Bearer {OWNER}"}
LABEL = WORKSPACE.replace("_", "-")
MIB = 1024 * 1024


@pytest.fixture
async def http(bare_city: City) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a city with one workspace; ``session`` of the city is what runs in it."""
    bare_city.site, bare_city.session = await with_workspace(  # type: ignore[attr-defined]
        bare_city, workspace_url="http://{id}.test", workspace_recheck_seconds=0.2, refused_ttl_seconds=0.05,
        workspace_idle_seconds_max=3.0,
    )  # fmt: skip
    async with httpx.AsyncClient(base_url=bare_city.gateway_url, timeout=30, trust_env=False) as client:
        yield client


def socket_url(city: City, path: str = "/ws") -> str:
    return city.gateway_url.replace("http", "ws", 1) + BASE + path


def session_of(city: City) -> Session:
    return city.session  # type: ignore[attr-defined,no-any-return]


def pieces(size: int, each: int = 100_000) -> tuple[list[bytes], str]:
    data = hashlib.shake_256(b"seed").digest(size)
    return [data[at : at + each] for at in range(0, size, each)], hashlib.sha256(data).hexdigest()


async def test_a_request_arrives_as_it_was_sent_but_for_the_credential(http: httpx.AsyncClient) -> None:
    headers = {**KEY, "Cookie": "zhisuan_workspace=x; keep=1", "X-Own": "yes", "Accept-Encoding": "br"}
    seen = (await http.get(f"{BASE}/a%2Fb/%E4%BD%A0?x=1%202", headers=headers)).json()
    assert (seen["path"], seen["query"]) == (f"{BASE}/a%2Fb/%E4%BD%A0", "x=1%202")
    assert seen["headers"]["authorization"] == f"token {TOKEN}" and OWNER not in json.dumps(seen)
    assert (seen["headers"]["cookie"], seen["headers"]["x-own"], seen["headers"]["accept-encoding"]) == ("keep=1", "yes", "br")
    assert (await http.head(f"{BASE}/x", headers=KEY)).status_code == 200
    assert (await http.request("DELETE", f"{BASE}/x", headers=KEY)).json()["method"] == "DELETE"
    assert (await http.get(BASE, headers=KEY)).headers["location"] == BASE + "/"


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_bodies_go_both_ways_whole(http: httpx.AsyncClient, chunked: bool) -> None:
    parts, sha256 = pieces(9 * MIB)

    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    sent: Any = body() if chunked else b"".join(parts)
    got = await http.post(f"{BASE}/upload", headers=KEY, content=sent)
    assert got.json() == {"size": 9 * MIB, "sha256": sha256}
    assert hashlib.sha256((await http.get(f"{BASE}/big/{9 * MIB}", headers=KEY)).content).hexdigest() == hashlib.sha256(
        bytes(range(256)) * (9 * MIB // 256)
    ).hexdigest()  # fmt: skip


async def test_a_reader_who_stops_holds_back_only_the_session_that_floods(http: httpx.AsyncClient, bare_city: City) -> None:
    async with http.stream("GET", f"{BASE}/endless", headers=KEY) as answer:
        reading = answer.aiter_raw()
        await anext(reading)
        await eventually(lambda: session_of(bare_city).sent > 0)
        before = -1
        while session_of(bare_city).sent != before:
            before = session_of(bare_city).sent
            await asyncio.sleep(0.3)
        # Socket buffers on the way hold some MiB more than the stream's own window.
        assert before < WINDOW_BYTES + 24 * MIB
        assert (await http.get(f"{BASE}/x", headers=KEY)).status_code == 200
    await eventually(lambda: bare_city.site.tunnel.calls("lea_w", 1)[1] == 0)  # type: ignore[attr-defined]


async def test_cookies_of_a_session_stay_with_it_and_pages_cannot_be_framed(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{BASE}/cookies", headers=KEY)
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/; HttpOnly", "b=2"]
    assert "alt-svc" not in answer.headers and answer.headers["content-security-policy"] == "frame-ancestors 'self'"


async def test_unknown_and_foreign_answer_alike_and_nobody_gets_in_without_a_credential(
    http: httpx.AsyncClient, bare_city: City
) -> None:
    async def answer(path: str, key: str | None) -> tuple[int, str]:
        got = await http.get(path, headers={"Authorization": f"Bearer {key}"} if key else {})
        return got.status_code, got.json()["error"]["code"]

    foreign = [await answer(f"/workspaces/{i}/x", STRANGER) for i in (WORKSPACE, OTHER)]
    assert foreign == [(404, "not_found")] * 2
    assert [await answer(f"/workspaces/{i}/x", None) for i in (WORKSPACE, OTHER)] == [(401, "not_signed_in")] * 2
    assert await answer("/workspaces/../v1", OWNER) != (200, "")
    for path in ("/workspaces/", "/workspaces/job_1/", "/workspaces/wsp_1/x"):
        assert await answer(path, OWNER) == (404, "not_found")
    with pytest.raises(InvalidStatus) as refused:
        await connect(socket_url(bare_city), additional_headers={"Authorization": f"Bearer {STRANGER}"}, proxy=None)
    assert refused.value.response.status_code == 404


async def test_a_link_is_good_once_and_its_cookie_for_its_own_host_only(http: httpx.AsyncClient, bare_city: City) -> None:
    bare_city.control.tickets[digest("zst_1")] = WORKSPACE
    home = {"Host": f"{LABEL}.test"}
    assert (await http.get(f"{BASE}/_enter?ticket=zst_1")).status_code == 404, "only at the workspace's own host"
    entered = await http.get(f"{BASE}/_enter?ticket=zst_1", headers=home)
    assert (entered.status_code, entered.headers["location"]) == (303, BASE + "/")
    cookie, *flags = entered.headers["set-cookie"].split("; ")
    assert set(flags) == {"HttpOnly", "SameSite=Lax", f"Path={BASE}/", "Max-Age=3600"}
    assert (await http.get(f"{BASE}/_enter?ticket=zst_1", headers=home)).status_code == 403

    async def got(**more: str) -> int:
        sent = {**home, "Cookie": cookie, **{k.replace("_", "-"): v for k, v in more.items()}}
        return (await http.request(sent.pop("method", "GET"), f"{BASE}/x", headers=sent)).status_code

    own = f"http://{LABEL}.test"
    assert await got() == await got(Origin=own) == await got(Sec_Fetch_Site="same-origin") == 200
    assert await got(method="POST", Origin=own) == 200
    assert await got(Sec_Fetch_Site="same-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document") == 200
    assert await got(Host="other.test") == 401, "a cookie at another host name is nobody's"
    assert await got(Origin="http://wsp-other.test") == await got(Origin="null") == 403
    assert await got(method="POST") == await got(Sec_Fetch_Site="same-site") == 403
    assert await got(Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe") == 403
    for origin, status in ((own, None), ("http://evil.test", 403), (None, 403)):
        headers = {"Cookie": cookie, "Host": f"{LABEL}.test"} | ({"Origin": origin} if origin else {})
        assert await _handshake(bare_city, headers) == status
    assert (await http.get(f"/workspaces/{OTHER}/x", headers={"Host": f"{OTHER.replace('_', '-')}.test", "Cookie": cookie})).status_code == 404


async def _handshake(city: City, headers: dict[str, str]) -> int | None:
    """The status that refuses a WebSocket with exactly these headers, or None."""
    host, _, port = city.gateway_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"GET {BASE}/ws HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *(f"{k}: {v}" for k, v in headers.items())]  # fmt: skip
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return None if status == 101 else status


async def test_messages_of_a_websocket_pass_both_ways(http: httpx.AsyncClient, bare_city: City) -> None:
    async with connect(socket_url(bare_city), additional_headers={**KEY, "Cookie": "k=v"}, subprotocols=["v1.kernel"],  # type: ignore[list-item]
                       max_size=None, proxy=None) as socket:  # fmt: skip
        assert socket.subprotocol == "v1.kernel"
        for said in ("你好", "", b"\x00\xff", b"", "x" * 300_000, hashlib.shake_256(b"s").digest(5 * MIB)):
            await socket.send(said)
            assert await socket.recv() == said
        await socket.send("headers")
        seen = json.loads(await socket.recv())
        assert seen["authorization"] == f"token {TOKEN}" and seen["cookie"] == "k=v"
        await socket.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4321
    async with connect(socket_url(bare_city), additional_headers=KEY, proxy=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
    await eventually(lambda: bool(session_of(bare_city).closed))
    assert session_of(bare_city).closed == [1000]
    with pytest.raises(InvalidStatus) as refused:
        await connect(socket_url(bare_city), additional_headers={**KEY, "X-Refuse": "1"}, proxy=None)
    assert (refused.value.response.status_code, refused.value.response.body) == (418, b"no room")


async def test_who_may_no_longer_loses_the_open_connection(http: httpx.AsyncClient, bare_city: City) -> None:
    async with connect(socket_url(bare_city), additional_headers=KEY, proxy=None) as socket:
        bare_city.control.holders[WORKSPACE].clear()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


@pytest.mark.parametrize("wait_for_answer", [True, False])
async def test_the_agent_goes_and_comes_back(http: httpx.AsyncClient, bare_city: City, wait_for_answer: bool) -> None:
    site = bare_city.site  # type: ignore[attr-defined]
    async with connect(socket_url(bare_city), additional_headers=KEY, proxy=None) as socket:
        if wait_for_answer:
            await socket.send("here")
            assert await socket.recv() == "here"
        await site.disconnect()
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    gone = await http.get(f"{BASE}/x", headers={**KEY, "Accept": "text/html"})
    assert gone.status_code == 503 and "refresh" in gone.text and "站点" in gone.text
    await site.connect()
    await eventually(lambda: bare_city.inner.hub.reachable(site.site_id))
    assert (await http.get(f"{BASE}/x", headers=KEY)).status_code == 200


async def test_what_a_session_does_wrong_is_said(http: httpx.AsyncClient, bare_city: City) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(f"{BASE}/broken", headers=KEY)
    assert (await http.get(f"{BASE}/nothing", headers=KEY)).status_code == 502, "still for longer than is allowed"
    control = bare_city.control
    for state, status in (("waiting", 503), ("starting", 503), ("ended", 410)):
        control.workspaces[WORKSPACE] = control.workspaces[WORKSPACE].model_copy(update={"state": state})
        await asyncio.sleep(1.1)
        assert (await http.get(f"{BASE}/x", headers=KEY)).status_code == status
    await eventually(lambda: bare_city.site.tunnel.calls("lea_w", 1)[1] == 0)  # type: ignore[attr-defined]


async def test_a_page_that_floods_is_held_to_its_number_of_connections(bare_city: City) -> None:
    await with_workspace(bare_city, workspace_streams_max=3)
    async with httpx.AsyncClient(base_url=bare_city.gateway_url, timeout=30, trust_env=False) as client:
        held = [asyncio.create_task(client.get(f"{BASE}/nothing", headers=KEY)) for _ in range(3)]
        await eventually(lambda: bare_city.sites["site_1"].tunnel.calls("lea_w", 1)[1] == 3)
        assert (await client.get(f"{BASE}/x", headers=KEY)).status_code == 429
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        await eventually(lambda: bare_city.sites["site_1"].tunnel.calls("lea_w", 1)[1] == 0)
        assert (await client.get(f"{BASE}/x", headers=KEY)).status_code == 200
