"""Clients that leave, replicas that break, tunnels that drop, a server that is away: who sees what, and what is billed."""

import asyncio
import contextlib
import json
from pathlib import Path

import aiohttp
import openai
import pytest
from gateway_servers import KEY, OTHER_KEY, City, Line, eventually, port_of

from zhisuan.base.secrets import digest
from zhisuan.gateway.journal import JournalError
from zhisuan.site import tunnel as site_tunnel
from zhisuan.site.tunnel import Tunnel
from zhisuan.wire.frames import FrameType, decode
from zhisuan.wire.gateway import SiteAnswer, TokenUsage

pytestmark = pytest.mark.anyio
ASK = [{"role": "user", "content": "路线"}]
LONG = {"pieces": "100000", "pause": "0.002"}


async def test_a_client_that_leaves_a_stream_cancels_it_and_pays_for_what_it_got(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    async with city.client() as client:
        stream = await client.chat.completions.create(model="guide", messages=ASK, stream=True, metadata=LONG)
        got = 0
        async for chunk in stream:
            got += bool(chunk.choices and chunk.choices[0].delta.content)
            if got == 20:
                break
        await stream.close()
        await eventually(lambda: model.cancelled == 1, seconds=2)
    (usage,) = await city.usage()
    assert 20 <= usage.output_tokens <= model.sent
    assert (usage.outcome, usage.estimated) == ("client_closed", True)
    assert usage.input_tokens == 3
    assert city.calls_running == 0


async def test_a_client_that_leaves_before_the_answer_cancels_it(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    async with city.client() as client:
        call = asyncio.create_task(
            client.chat.completions.create(model="guide", messages=ASK, metadata={"pause": "3600"})
        )
        await eventually(lambda: len(model.calls) == 1)
        call.cancel()
        await eventually(lambda: model.cancelled == 1, seconds=2)
    (usage,) = await city.usage()
    assert (usage.outcome, usage.estimated, usage.input_tokens, usage.output_tokens) == ("client_closed", True, 3, 0)


async def test_a_slow_reader_holds_back_its_own_stream_and_no_other(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    pieces = 6_000
    body = {"model": "guide", "messages": ASK, "stream": True, "metadata": {"pieces": pieces, "size": 10_000}}
    async with _session() as session, session.post(_chat(city), json=body) as answer:
        stalled = await _settled(lambda: model.sent)
        assert stalled < pieces
        async with city.client(OTHER_KEY) as other:
            assert [m.id for m in (await other.models.list()).data] == []
        async with city.client() as client:
            quick = await client.chat.completions.create(model="guide", messages=ASK)
            assert quick.choices[0].message.content == "w0 w1 w2 "
        words = 0
        async for line in answer.content:
            words += line.count(b'"content":"w')
    assert words == pieces
    usages = await city.usage(2)
    assert sorted(u.output_tokens for u in usages) == [3, pieces]
    assert {u.outcome for u in usages} == {"completed"}


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 401}, {"fail_at": 0}, {"error_at": 0}, {"hang": 1}, "gone", "lost"]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_first_byte_leads_to_another_replica(
    bare_city: City, fault: dict[str, int] | str, stream: bool
) -> None:
    await bare_city.start(first_byte_seconds_max=0.3, stream_first_byte_seconds_max=0.3)
    bad, good = await bare_city.serve_model("lea_1", "lea_2")
    site = bare_city.sites["site_1"]
    if isinstance(fault, dict):
        bad.behaviour = {**fault, **({} if stream or "hang" in fault or "status" in fault else {"status": 503})}
    elif fault == "gone":
        site.sockets["lea_1", 1] = Path("/nonexistent/service.sock")
    else:
        del site.sockets["lea_1", 1]
    async with bare_city.client() as client:
        for _ in range(2):
            if stream:
                chunks = await client.chat.completions.create(model="guide", messages=ASK, stream=True)
                text = "".join([c.choices[0].delta.content or "" async for c in chunks])
            else:
                whole = await client.chat.completions.create(model="guide", messages=ASK)
                text = whole.choices[0].message.content or ""
            assert text == "w0 w1 w2 "
    # The second call went straight to the replica that works: the other had just failed.
    assert len(good.calls) == 2
    assert len(bad.calls) <= 1
    usages = await bare_city.usage(2)
    assert [(u.lease_id, u.outcome, u.input_tokens, u.output_tokens) for u in usages] == [
        ("lea_2", "completed", 11, 3)
    ] * 2


async def test_when_every_replica_fails_the_client_gets_one_error_and_no_bill(city: City) -> None:
    models = await city.serve_model("lea_1", "lea_2", "lea_3")
    for model in models:
        model.behaviour = {"status": 500}
    async with city.client() as client:
        with pytest.raises(openai.InternalServerError) as error:
            await client.chat.completions.create(model="guide", messages=ASK)
    assert (error.value.status_code, error.value.code) == (502, "upstream_failed")
    assert sum(len(model.calls) for model in models) == 2
    (usage,) = await city.usage()
    assert (usage.outcome, usage.input_tokens, usage.output_tokens) == ("upstream_failed", 0, 0)


async def test_a_replica_that_never_answers_is_504(bare_city: City) -> None:
    await bare_city.start(first_byte_seconds_max=0.2)
    (model,) = await bare_city.serve_model("lea_1")
    async with bare_city.client() as client:
        with pytest.raises(openai.InternalServerError) as error:
            await client.chat.completions.create(model="guide", messages=ASK, metadata={"hang": "1"})
    assert (error.value.status_code, error.value.code) == (504, "upstream_timeout")
    await eventually(lambda: model.cancelled == 1)


@pytest.mark.parametrize("fault", [{"fail_at": "4"}, {"error_at": "4"}, {"hang_at": "4"}])
async def test_a_failure_in_the_middle_shows_as_an_error_event(bare_city: City, fault: dict[str, str]) -> None:
    await bare_city.start(idle_seconds_max=0.3)
    first, second = await bare_city.serve_model("lea_1", "lea_2")
    text = ""
    async with bare_city.client() as client:
        stream = await client.chat.completions.create(
            model="guide", messages=ASK, stream=True, metadata={"pieces": "9", **fault}
        )
        with pytest.raises(openai.APIError) as error:  # noqa: PT012 - the stream raises as it is read
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
    assert text == "w0 w1 w2 w3 "
    assert error.value.code == ("upstream_timeout" if "hang_at" in fault else "upstream_failed")
    assert len(second.calls) == 0
    (usage,) = await bare_city.usage()
    assert (usage.outcome, usage.output_tokens, usage.estimated) == ("upstream_failed", 4, True)
    await eventually(lambda: first.cancelled == 1 or "error_at" in fault)


async def test_a_stream_that_ends_without_its_end_is_an_error(city: City) -> None:
    await city.serve_model("lea_1")
    body = {"model": "guide", "messages": ASK, "stream": True, "metadata": {"pieces": 2, "error_at": 5, "no_done": 1}}
    async with _session() as session:
        # A model that gave its reason to finish has said all, even without [DONE].
        async with session.post(_chat(city), json=body) as answer:
            assert (await answer.text()).endswith("data: [DONE]\n\n")
        body["metadata"]["fail_at"] = 1
        async with session.post(_chat(city), json=body) as answer:
            events = (await answer.text()).strip().split("\n\n")
    assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "upstream_failed"
    assert "data: [DONE]" not in events


@pytest.mark.parametrize("way", ["closed", "cut", "frozen"])
async def test_a_dropped_tunnel_fails_its_streams_and_comes_back(
    bare_city: City, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_tunnel, "HEARTBEAT_SECONDS", 0.4)
    city = bare_city
    await city.start(ping_seconds=0.2)
    line = Line(port_of(city.gateway))
    async with line.listening() as port:
        site = await city.add_site(gateway_url=f"http://127.0.0.1:{port}")
        model = await city.add_service(site, "lea_1")
        await city.route(("site_1", "lea_1"))
        async with city.client() as client:
            stream = await client.chat.completions.create(model="guide", messages=ASK, stream=True, metadata=LONG)
            got = 0
            with pytest.raises(openai.APIError) as error:  # noqa: PT012 - the stream raises as it is read
                async for chunk in stream:
                    got += bool(chunk.choices[0].delta.content)
                    if got == 5 and way == "closed":
                        await site.disconnect()
                    elif got == 5:
                        line.cut() if way == "cut" else line.freeze()
            assert error.value.code == "upstream_failed"
            await eventually(lambda: not city.inner.hub.reachable("site_1") or way == "cut")
            line.cut()
            if way == "closed":
                with pytest.raises(openai.InternalServerError) as nobody:
                    await client.chat.completions.create(model="guide", messages=ASK)
                assert nobody.value.code == "no_ready_replica"
                await site.connect()
            await eventually(lambda: model.cancelled == 1)
            await eventually(lambda: city.inner.hub.reachable("site_1") and site.tunnel.connected)
            await client.chat.completions.create(model="guide", messages=ASK)
        await site.disconnect()
    cut, whole = await city.usage(2)
    assert (cut.outcome, cut.estimated, whole.outcome) == ("upstream_failed", True, "completed")
    assert got <= cut.output_tokens <= model.sent


async def test_the_newest_tunnel_of_a_site_wins(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    site = city.sites["site_1"]
    newer = Tunnel(city.gateway_url, site.credential, lambda *key: site.sockets.get(key))
    task = asyncio.create_task(newer.run())
    await eventually(lambda: newer.connected and not site.tunnel.connected)
    await site.disconnect()
    async with city.client() as client:
        await client.chat.completions.create(model="guide", messages=ASK)
    assert (len(model.calls), newer.connected, city.inner.hub.connected) == (1, True, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await eventually(lambda: city.inner.hub.connected == 0)


@pytest.mark.parametrize("header, status", [(None, 401), ("Bearer zss_wrong", 401), ("Basic eHg6", 401)])
async def test_a_tunnel_needs_a_site_credential(city: City, header: str | None, status: int) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(city.gateway_url + "/tunnel", headers={"Authorization": header} if header else {})
    assert error.value.status == status
    assert city.inner.hub.connected == 0


async def test_a_credential_taken_back_ends_the_tunnel(bare_city: City) -> None:
    await bare_city.start(site_recheck_seconds=0.05)
    site = await bare_city.add_site()
    bare_city.control.sites[digest(site.credential)] = SiteAnswer(valid=False)
    await eventually(lambda: bare_city.inner.hub.connected == 0 and not site.tunnel.connected)


@pytest.mark.parametrize("frame", [b"\x02", b"\x04\x00\x00\x00\x01{", b"\x06\x00\x00\x00\x01abc"])
async def test_a_site_that_sends_nonsense_is_cut_off(city: City, frame: bytes) -> None:
    city.control.sites[digest("zss_odd")] = SiteAnswer(valid=True, site_id="site_odd")
    await city.route(("site_odd", "lea_odd"))
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer zss_odd"}) as session,
        session.ws_connect(city.gateway_url + "/tunnel") as websocket,
        city.client() as client,
    ):
        call = asyncio.create_task(client.chat.completions.create(model="guide", messages=ASK))
        opening, *_ = decode(await websocket.receive_bytes())
        assert opening[:2] == (FrameType.OPEN, 1)
        assert json.loads(opening.payload)["lease_id"] == "lea_odd"
        await websocket.send_bytes(b"\x63\x00\x00\x00\x01a type of a later version is ignored")
        await websocket.send_bytes(b"\x02\x00\x00\x00\x09a stream nobody knows is ignored")
        await websocket.send_bytes(frame)
        with pytest.raises(openai.InternalServerError) as error:
            await call
        while not websocket.closed:
            await websocket.receive()
        assert websocket.close_code == 4002
    assert error.value.status_code == 502


async def test_a_site_that_ignores_credit_loses_the_stream(city: City) -> None:
    city.control.sites[digest("zss_odd")] = SiteAnswer(valid=True, site_id="site_odd")
    await city.route(("site_odd", "lea_odd"))
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer zss_odd"}) as session,
        session.ws_connect(city.gateway_url + "/tunnel") as websocket,
        city.client() as client,
    ):
        call = asyncio.create_task(client.chat.completions.create(model="guide", messages=ASK))
        frames = decode(await websocket.receive_bytes())
        assert [frame.type for frame in frames] == [FrameType.OPEN, FrameType.DATA, FrameType.END]
        for _ in range(5):
            await websocket.send_bytes(b"\x02\x00\x00\x00\x01" + b"x" * 65_536)
        with pytest.raises(openai.InternalServerError):
            await call
        (reset,) = decode(await websocket.receive_bytes())
        assert (reset.type, json.loads(reset.payload)["code"]) == (FrameType.RESET, "flow_control")


async def test_a_known_key_works_while_the_server_is_away(city: City) -> None:
    await city.serve_model("lea_1")
    known = city.control.keys[digest(KEY)]
    city.control.keys[digest(KEY)] = known.model_copy(update={"ttl_seconds": 0})
    async with city.client() as client, city.client(OTHER_KEY) as stranger:
        await client.chat.completions.create(model="guide", messages=ASK)
        await city.usage(1)
        city.control.down = True
        for _ in range(3):
            await client.chat.completions.create(model="guide", messages=ASK)
        with pytest.raises(openai.InternalServerError) as error:
            await stranger.chat.completions.create(model="guide", messages=ASK)
        assert (error.value.status_code, error.value.code) == (503, "authorisation_unavailable")
        assert len(city.control.usage) == 1
        city.control.down = False
        await city.usage(4)


async def test_a_server_that_is_silent_does_not_hold_up_a_known_key(bare_city: City) -> None:
    await bare_city.start(authorise_wait_seconds_max=0.1, control_seconds_max=0.5)
    await bare_city.serve_model("lea_1")
    known = bare_city.control.keys[digest(KEY)]
    bare_city.control.keys[digest(KEY)] = known.model_copy(update={"ttl_seconds": 0})
    async with bare_city.client() as client:
        await client.chat.completions.create(model="guide", messages=ASK)
        bare_city.control.silent.clear()
        async with asyncio.timeout(5):
            for _ in range(3):
                await client.chat.completions.create(model="guide", messages=ASK)
        bare_city.control.silent.set()
    await bare_city.usage(4)


async def test_a_stale_answer_serves_only_so_long(bare_city: City) -> None:
    await bare_city.start(stale_seconds_max=0)
    await bare_city.serve_model("lea_1")
    known = bare_city.control.keys[digest(KEY)]
    bare_city.control.keys[digest(KEY)] = known.model_copy(update={"ttl_seconds": 0})
    async with bare_city.client() as client:
        await client.chat.completions.create(model="guide", messages=ASK)
        bare_city.control.down = True
        with pytest.raises(openai.InternalServerError) as error:
            await client.chat.completions.create(model="guide", messages=ASK)
    assert error.value.code == "authorisation_unavailable"


async def test_before_the_first_routes_the_gateway_says_that_it_is_starting(bare_city: City) -> None:
    bare_city.control.down = True
    await bare_city.start()
    async with aiohttp.ClientSession() as session:
        async with session.get(bare_city.gateway_url + "/ready") as answer:
            assert (answer.status, (await answer.json())["problems"]) == (503, ["routes_unknown"])
        async with session.get(bare_city.gateway_url + "/health") as answer:
            assert answer.status == 200


async def test_usage_is_sent_again_until_the_answer_arrives(city: City) -> None:
    await city.serve_model("lea_1")
    city.control.drop_usage_answers = 1
    async with city.client() as client:
        await client.chat.completions.create(model="guide", messages=ASK)
    (usage,) = await city.usage()
    await eventually(lambda: city.control.deliveries == [usage.id, usage.id])
    await eventually(lambda: city.inner.shipper.shipped == 1)


async def test_probe_tells_whether_a_service_is_ready(city: City) -> None:
    await city.serve_model("lea_1")
    tunnel = city.sites["site_1"].tunnel
    assert await tunnel.probe("lea_1", 1, "/healthy")
    assert not await tunnel.probe("lea_1", 1, "/unhealthy")
    assert not await tunnel.probe("lea_1", 1, "/absent")
    assert not await tunnel.probe("lea_1", 2, "/healthy")
    assert not await tunnel.probe("lea_1", 1, "no-slash")
    city.sites["site_1"].sockets["lea_9", 1] = Path("/nonexistent/service.sock")
    assert not await tunnel.probe("lea_9", 1, "/healthy")


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, read_bufsize=2**14)


def _chat(city: City) -> str:
    return city.gateway_url + "/v1/chat/completions"


async def _settled(value: object, quiet_rounds: int = 60) -> int:
    """``value()`` once it has stayed the same for a while."""
    assert callable(value)
    last, quiet = -1, 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while quiet < quiet_rounds:
                now = value()
                quiet = quiet + 1 if now == last else 0
                last = now
                await asyncio.sleep(0.01)
    return last


@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_final_leaves_before_the_journal_has_it(city: City, stream: bool) -> None:
    await city.serve_model("lea_1")
    journal, gate = city.inner._journal, asyncio.Event()
    record = journal.record
    handed_over = 0

    async def late(usage: TokenUsage) -> None:
        nonlocal handed_over
        handed_over += 1
        await gate.wait()
        await record(usage)

    journal.record = lambda usage: asyncio.ensure_future(late(usage))  # type: ignore[method-assign]
    received = bytearray()

    async def read() -> None:
        body = {"model": "guide", "messages": ASK, "stream": stream}
        async with _session() as session, session.post(_chat(city), json=body) as answer:
            async for part in answer.content.iter_any():
                received.extend(part)

    reading = asyncio.create_task(read())
    await eventually(lambda: handed_over == 1)
    if stream:
        await eventually(lambda: b'"content":"w2 "' in received)
    assert await _settled(lambda: len(received), quiet_rounds=20) == len(received)
    assert b"[DONE]" not in received
    assert stream or not received
    gate.set()
    await reading
    assert b"[DONE]" in received if stream else json.loads(received)["model"] == "guide"


async def test_a_gateway_that_cannot_meter_gives_no_answer_and_recovers(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    journal, record = city.inner._journal, city.inner._journal.record

    def failing(usage: TokenUsage) -> asyncio.Future[None]:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed.set_exception(JournalError("disk full"))
        return failed

    journal.record = failing  # type: ignore[method-assign]
    async with city.client() as client:
        with pytest.raises(openai.InternalServerError) as whole:
            await client.chat.completions.create(model="guide", messages=ASK)
        assert (whole.value.status_code, whole.value.code) == (503, "metering_unavailable")
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="guide", messages=ASK)
        assert len(model.calls) == 1, "a gateway that cannot meter takes no calls"
        async with _session() as session, session.get(city.gateway_url + "/ready") as answer:
            assert (answer.status, (await answer.json())["problems"]) == (503, ["journal_unwritable"])
        journal.record = record  # type: ignore[method-assign]
        await city.usage(1)
        await client.chat.completions.create(model="guide", messages=ASK)
    await city.usage(2)
