"""The HTTP interface: health, models, chat and completions."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from zhisuan.base.clock import Clock
from zhisuan.models.serving.answers import AnswerForm
from zhisuan.models.serving.delivery import ClientLeft, Delivery, StreamedAnswer, whole_answer
from zhisuan.models.serving.errors import (
    ApiError,
    body_too_large,
    context_too_long,
    invalid,
    model_not_found,
    not_served,
    server_failed,
)
from zhisuan.models.serving.generation import GenerationRequest
from zhisuan.models.serving.language_model import LanguageModel, PromptRefused
from zhisuan.models.serving.requests import ChatRequest, CompletionRequest, parse_request
from zhisuan.models.serving.sampler import Sampling
from zhisuan.models.serving.worker import Worker

BODY_BYTES_MAX = 4 * 1024**2
STOP_TIMEOUT_SECONDS = 10
# nginx's code for a client that closed the connection; nobody receives it, it shows in logs.
CLIENT_CLOSED_REQUEST = 499


@dataclass(frozen=True)
class Served:
    """What this server serves, and what it needs from outside: a clock and a source of ids without meaning."""

    name: str
    created_seconds: int
    worker: Worker
    clock: Clock
    new_id: Callable[[], str]

    def form(self, kind: Literal["chat", "text"], with_usage: bool) -> AnswerForm:
        prefix = "chatcmpl" if kind == "chat" else "cmpl"
        created = int(self.clock.now().timestamp())
        return AnswerForm(kind, f"{prefix}-{self.new_id()}", created, self.name, with_usage)

    def card(self) -> dict[str, Any]:
        """The model's entry in ``GET /v1/models``; the context length is named as vLLM names it."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created_seconds,
            "owned_by": "zhisuan",
            "max_model_len": self.worker.model.context_tokens,
        }


def create_app(served: Served) -> FastAPI:
    """The application; its life starts and stops the worker of ``served``."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        served.worker.start()
        yield
        await run_in_threadpool(served.worker.stop, STOP_TIMEOUT_SECONDS)

    app = FastAPI(title="zhisuan embedded model server", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_exception_handler(Exception, _answer_error)
    app.add_exception_handler(ClientLeft, _answer_nobody)

    @app.get("/health")
    async def health() -> JSONResponse:
        state = served.worker.state
        return JSONResponse(
            {"status": "ok" if state == "ready" else state, "model": served.name, "waiting": served.worker.waiting},
            status_code=200 if state == "ready" else 503,
        )

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [served.card()]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        if name != served.name:
            raise model_not_found(name, served.name)
        return served.card()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = parse_request(await _read_body(request), ChatRequest)
        language_model = _model_for(served, body.model)
        prompt = await run_in_threadpool(_chat_prompt, language_model, body)
        return await _answer(served, language_model, request, body, prompt)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        body = parse_request(await _read_body(request), CompletionRequest)
        language_model = _model_for(served, body.model)
        prompt = await run_in_threadpool(language_model.encode_text, body.text)
        return await _answer(served, language_model, request, body, prompt)

    return app


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise body_too_large(BODY_BYTES_MAX)
    return bytes(body)


def _model_for(served: Served, asked: str) -> LanguageModel:
    if asked != served.name:
        raise model_not_found(asked, served.name)
    return served.worker.model


def _chat_prompt(model: LanguageModel, body: ChatRequest) -> list[int]:
    try:
        return model.encode_chat([message.as_template_input() for message in body.messages])
    except PromptRefused as refused:
        raise invalid(f"{refused}.", "messages") from refused


async def _answer(
    served: Served,
    model: LanguageModel,
    request: Request,
    body: ChatRequest | CompletionRequest,
    prompt: list[int],
) -> Response:
    kind: Literal["chat", "text"] = "chat" if isinstance(body, ChatRequest) else "text"
    param = "messages" if kind == "chat" else "prompt"
    if not prompt:
        raise invalid("The prompt has no tokens; give some text.", param)
    if len(prompt) >= model.context_tokens:
        raise context_too_long(len(prompt), model.context_tokens, param)
    sampling = Sampling(
        temperature=model.defaults.temperature if body.temperature is None else body.temperature,
        top_p=model.defaults.top_p if body.top_p is None else body.top_p,
        seed=body.seed,
    )
    tokens_max = model.context_tokens if body.tokens_max is None else body.tokens_max
    form = served.form(kind, body.include_usage)
    delivery = Delivery(served.worker, GenerationRequest(tuple(prompt), tokens_max, sampling, body.stops))
    if body.stream:
        return StreamedAnswer(delivery, form)
    return JSONResponse(await whole_answer(delivery, form, request))


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    """Every error leaves in OpenAI's form, also those of routing (404, 405) and those nobody foresaw (500)."""
    if isinstance(error, HTTPException):
        error = not_served(error.status_code, request.method, request.url.path)
    elif not isinstance(error, ApiError):
        error = server_failed(type(error).__name__)
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers())


async def _answer_nobody(_: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)
