"""What an unchanged OpenAI client sees, and what is metered for it."""

import asyncio
import json

import aiohttp
import openai
import pytest
from gateway_servers import KEY, OTHER_KEY, POOR_KEY, City, eventually, make_route

from zhisuan.wire.gateway import Replica

pytestmark = pytest.mark.anyio
ASK = [{"role": "user", "content": "黄山几点开门？"}]


async def test_a_whole_answer_has_the_public_name_and_is_metered_exactly(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    async with city.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="guide", messages=ASK)
    answer = raw.parse()
    assert answer.choices[0].message.content == "w0 w1 w2 "
    assert answer.model == "guide"
    assert model.calls[0]["model"] == "upstream/guide"
    (usage,) = await city.usage()
    assert usage.id == raw.headers["x-request-id"]
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (11, 4, 3)
    assert (usage.outcome, usage.estimated, usage.model) == ("completed", False, "guide")
    assert (usage.org_id, usage.project_id, usage.key_id) == ("org_a", "prj_1", "key_org_a")
    assert (usage.deployment_id, usage.lease_id, usage.first_token_ms) == ("dep_1", "lea_1", None)


@pytest.mark.parametrize("wants_usage", [False, True])
async def test_a_stream_shows_usage_only_to_who_asked(city: City, wants_usage: bool) -> None:
    (model,) = await city.serve_model("lea_1")
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    async with city.client() as client:
        stream = await client.chat.completions.create(model="guide", messages=ASK, stream=True, **options)
        chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "w0 w1 w2 "
    assert {c.model for c in chunks} == {"guide"}
    assert model.calls[0]["stream_options"] == {"include_usage": True}
    assert [c.usage.completion_tokens for c in chunks if c.usage] == ([3] if wants_usage else [])
    assert sum(not c.choices for c in chunks) == int(wants_usage)
    (usage,) = await city.usage()
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (11, 3, False)
    assert usage.first_token_ms is not None
    assert usage.first_token_ms <= usage.duration_ms


async def test_completions_whole_and_streamed(city: City) -> None:
    await city.serve_model("lea_1")
    async with city.client() as client:
        whole = await client.completions.create(model="guide", prompt="Huangshan is")
        stream = await client.completions.create(model="guide", prompt="Huangshan is", stream=True)
        text = "".join([chunk.choices[0].text async for chunk in stream])
    assert whole.choices[0].text == text == "w0 w1 w2 "
    assert [u.output_tokens for u in await city.usage(2)] == [3, 3]


async def test_fields_the_gateway_does_not_know_pass_untouched(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    extra = {"top_k": 7, "nested": {"a": [1, None, "ü"]}, "seed": 2**63 - 1}
    async with city.client() as client:
        await client.chat.completions.create(model="guide", messages=ASK, temperature=0.125, extra_body=extra)
    assert {name: model.calls[0][name] for name in extra} == extra
    assert model.calls[0]["temperature"] == 0.125
    assert "stream_options" not in model.calls[0]


async def test_no_secret_or_cookie_crosses_either_way(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    async with city.client(default_headers={"Cookie": "a=1", "X-Inner": "1"}) as client:
        raw = await client.chat.completions.with_raw_response.create(model="guide", messages=ASK)
    assert not {"authorization", "cookie", "x-inner", "user-agent"} & set(model.headers[0])
    assert KEY not in json.dumps(model.headers[0])
    assert not {"set-cookie", "x-upstream", "access-control-allow-origin"} & set(raw.headers)


async def test_usage_that_the_replica_does_not_give_is_estimated(city: City) -> None:
    await city.serve_model("lea_1")
    async with city.client() as client:
        await client.chat.completions.create(model="guide", messages=ASK, metadata={"no_usage": "1"})
        stream = await client.chat.completions.create(
            model="guide", messages=ASK, stream=True, metadata={"no_usage": "1", "pieces": "5"}
        )
        async for _ in stream:
            pass
    whole, streamed = await city.usage(2)
    # Seven characters beyond ASCII and the four of "user": (7 × 6 + 4 × 3) / 10, rounded up.
    assert whole.input_tokens == streamed.input_tokens == 6
    assert (whole.output_tokens, streamed.output_tokens) == (3, 5)
    assert whole.estimated and streamed.estimated
    assert whole.outcome == streamed.outcome == "completed"


async def test_a_stream_without_done_is_complete_once_the_model_gave_its_reason(city: City) -> None:
    await city.serve_model("lea_1")
    async with _post(city, {"model": "guide", "messages": ASK, "stream": True, "metadata": {"no_done": 1}}) as answer:
        text = await answer.text()
    assert text.endswith("data: [DONE]\n\n")
    (usage,) = await city.usage()
    assert usage.outcome == "completed"


async def test_models_of_the_own_organisation_only(city: City) -> None:
    await city.serve_model("lea_1")
    foreign = make_route("secret", "org_b", (Replica(lease_id="x", generation=1, site_id="none", ready=True),), "dep_2")
    await city.route(("site_1", "lea_1"), more=(foreign,))
    async with city.client() as mine, city.client(OTHER_KEY) as other:
        listed = (await mine.models.list()).data
        assert [(m.id, m.object, m.owned_by, m.model_extra) for m in listed] == [
            ("guide", "model", "org_a", {"ready": True})
        ]
        assert [(m.id, m.model_extra) for m in (await other.models.list()).data] == [("secret", {"ready": False})]
        assert (await mine.models.retrieve("guide")).id == "guide"
        answers = []
        for name in ("secret", "absent"):
            with pytest.raises(openai.NotFoundError) as shown:
                await mine.models.retrieve(name)
            with pytest.raises(openai.NotFoundError) as called:
                await mine.chat.completions.create(model=name, messages=ASK)
            assert called.value.code == shown.value.code == "model_not_found"
            answers.append(json.dumps(called.value.body).replace(name, "…"))
        assert answers[0] == answers[1]
    assert city.control.usage == {}


async def test_a_key_may_be_bound_to_some_models(city: City) -> None:
    await city.serve_model("lea_1")
    bound = next(answer for answer in city.control.keys.values() if answer.key_id == "key_org_a")
    for hashed, answer in city.control.keys.items():
        if answer is bound:
            city.control.keys[hashed] = answer.model_copy(update={"models": ("another",)})
    async with city.client() as client:
        assert (await client.models.list()).data == []
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="guide", messages=ASK)


@pytest.mark.parametrize("key", ["zsk_" + "z" * 40, "sk-not-ours", "zsk_" + "x" * 5000])
async def test_a_wrong_key_is_401(city: City, key: str) -> None:
    await city.serve_model("lea_1")
    async with city.client(key) as client:
        for _ in range(3):
            with pytest.raises(openai.AuthenticationError) as error:
                await client.chat.completions.create(model="guide", messages=ASK)
    assert error.value.code == "invalid_api_key"
    assert error.value.body["type"] == "invalid_request_error"
    assert "密钥" in error.value.body["message_zh"]
    assert error.value.response.headers["x-request-id"]
    # A refusal is remembered, and what cannot be a key of ours is not asked about at all.
    assert city.control.questions.count("authorise") == (1 if key == "zsk_" + "z" * 40 else 0)


async def test_no_key_is_401(city: City) -> None:
    async with aiohttp.ClientSession() as session, session.get(city.gateway_url + "/v1/models") as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "invalid_api_key"


async def test_an_unfunded_key_is_429_and_not_retried(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    async with city.client(POOR_KEY, max_retries=2) as client:
        with pytest.raises(openai.RateLimitError) as error:
            await client.chat.completions.create(model="guide", messages=ASK)
        assert [m.id for m in (await client.models.list()).data] == ["guide"]
    assert error.value.code == "insufficient_quota"
    assert error.value.type == "insufficient_quota"
    assert error.value.response.headers["x-should-retry"] == "false"
    assert model.calls == []
    assert city.control.usage == {}


async def test_a_malformed_request_is_400(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    for body, code in (
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[1]", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"", "invalid_json"),
        (b'{"messages": []}', "model_required"),
        (b'{"model": 7}', "model_required"),
        (b'{"model": "guide", "stream": "yes"}', "invalid_type"),
        (b'{"model": "guide", "stream": true, "stream_options": 1}', "invalid_type"),
        (b'{"model": "guide", "stream": true, "stream_options": {"include_usage": 1}}', "invalid_type"),
    ):
        async with _post(city, body) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["code"] == code
    assert model.calls == []


async def test_a_large_body_is_413_and_its_neighbours_live(bare_city: City) -> None:
    await bare_city.start(body_bytes_max=100_000)
    (model,) = await bare_city.serve_model("lea_1")
    async with bare_city.client() as client:
        for length in (100_001, 350_000, 3_000_000):
            with pytest.raises(openai.APIStatusError) as error:
                await client.chat.completions.create(
                    model="guide", messages=[{"role": "user", "content": "x" * length}]
                )
            assert error.value.status_code == 413
            assert error.value.code == "request_too_large"
        await client.chat.completions.create(model="guide", messages=[{"role": "user", "content": "x" * 99_000}])
    assert len(model.calls) == 1


async def test_a_chunked_body_over_the_limit_is_413(bare_city: City) -> None:
    await bare_city.start(body_bytes_max=100_000)
    await bare_city.serve_model("lea_1")

    async def parts():
        for _ in range(20):
            yield b"x" * 10_000

    async with _post(bare_city, parts()) as answer:
        assert answer.status == 413


async def test_a_body_larger_than_the_window_reaches_the_replica_whole(city: City) -> None:
    (model,) = await city.serve_model("lea_1")
    text = "x" * 3_000_000
    async with city.client() as client:
        await client.chat.completions.create(model="guide", messages=[{"role": "user", "content": text}])
    assert model.calls[0]["messages"][0]["content"] == text


async def test_unknown_paths_and_methods_answer_in_json(city: City) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        async with session.post(city.gateway_url + "/v1/embedding") as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "unknown_url"
            assert answer.headers["x-request-id"].startswith("req_")
        async with session.get(city.gateway_url + "/v1/chat/completions") as answer:
            assert answer.status == 405
            assert (await answer.json())["error"]["code"] == "method_not_allowed"
        async with session.options(city.gateway_url + "/v1/models", headers={"Origin": "https://a.example"}) as answer:
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_a_request_the_model_refuses_is_passed_on_and_not_metered(city: City) -> None:
    await city.serve_model("lea_1", "lea_2")
    async with city.client() as client:
        with pytest.raises(openai.BadRequestError) as error:
            await client.chat.completions.create(model="guide", messages=ASK, metadata={"status": "400"})
        with pytest.raises(openai.RateLimitError) as busy:
            await client.chat.completions.create(model="guide", messages=ASK, metadata={"status": "429"})
        await client.chat.completions.create(model="guide", messages=ASK)
    assert "told to answer 400" in error.value.message
    assert busy.value.response.headers["retry-after"] == "1"
    usages = await city.usage()
    assert [u.outcome for u in usages] == ["completed"]


async def test_a_model_without_a_ready_replica_is_503(city: City) -> None:
    await city.add_site()
    await city.route(("site_gone", "lea_1"))
    async with city.client() as client:
        with pytest.raises(openai.InternalServerError) as error:
            await client.chat.completions.create(model="guide", messages=ASK)
    assert (error.value.status_code, error.value.code) == (503, "no_ready_replica")
    assert error.value.response.headers["retry-after"] == "3"
    assert city.control.usage == {}


async def test_calls_at_once_are_limited_per_key_and_in_all(bare_city: City) -> None:
    await bare_city.start(calls_per_key_max=2, calls_max=3)
    (model,) = await bare_city.serve_model("lea_1")
    replica = (Replica(lease_id="lea_1", generation=1, site_id="site_1", ready=True),)
    await bare_city.route(("site_1", "lea_1"), more=(make_route("guide", "org_b", replica, "dep_2"),))
    async with bare_city.client() as mine, bare_city.client(OTHER_KEY) as other:
        hung = [asyncio.create_task(_hanging(client)) for client in (mine, mine, other)]
        await eventually(lambda: len(model.calls) == 3)
        with pytest.raises(openai.InternalServerError) as full:
            await other.chat.completions.create(model="guide", messages=ASK)
        hung[2].cancel()
        await eventually(lambda: model.cancelled == 1 and bare_city.calls_running == 2)
        with pytest.raises(openai.RateLimitError) as mine_full:
            await mine.chat.completions.create(model="guide", messages=ASK)
        for task in hung:
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
        await eventually(lambda: model.cancelled == 3 and bare_city.calls_running == 0)
        await mine.chat.completions.create(model="guide", messages=ASK)
    assert (full.value.status_code, full.value.code) == (503, "gateway_overloaded")
    assert (mine_full.value.code, mine_full.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "1")


async def test_health_readiness_and_metrics(city: City) -> None:
    await city.serve_model("lea_1")
    async with city.client() as client:
        await client.chat.completions.create(model="guide", messages=ASK)
    await city.usage()
    async with aiohttp.ClientSession() as session:
        async with session.get(city.gateway_url + "/health") as answer:
            assert answer.status == 200
        async with session.get(city.gateway_url + "/ready") as answer:
            assert (answer.status, await answer.json()) == (200, {"ready": True, "problems": []})
        async with session.get(city.gateway_url + "/metrics") as answer:
            text = await answer.text()
    assert 'zhisuan_gateway_calls_total{outcome="completed"} 1\n' in text
    assert "zhisuan_gateway_output_tokens_total 3\n" in text
    assert "zhisuan_gateway_tunnels_connected 1\n" in text
    assert "org_a" not in text


async def _hanging(client: openai.AsyncOpenAI) -> None:
    await client.chat.completions.create(model="guide", messages=ASK, metadata={"hang": "1"})


def _post(city: City, body: object):
    """A raw POST, for what the SDK would not send."""
    return _Post(city, body if not isinstance(body, dict) else json.dumps(body).encode())


class _Post:
    def __init__(self, city: City, data: object) -> None:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"})
        self._request = self._session.post(city.gateway_url + "/v1/chat/completions", data=data)

    async def __aenter__(self) -> aiohttp.ClientResponse:
        self._answer = await self._request
        return self._answer

    async def __aexit__(self, *_: object) -> None:
        self._answer.release()
        await self._session.close()
