"""The console's only way to the platform: the REST interface over HTTP."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from zhisuan.console.speech import Language, Speech

PREFIX = "/api/v1"
TIMEOUT = httpx.Timeout(15.0, connect=3.0)
STREAM_TIMEOUT = httpx.Timeout(60.0, connect=3.0)

Json = dict[str, Any]


class ApiAway(Exception):
    """The platform did not answer, or answered something that is not of its interface."""


class ApiProblem(Exception):
    """The platform said no: what happened and what to do, in the reader's language."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail", status)))
        self.status = status
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail", ""))
        self.remedy = str(problem.get("remedy", ""))
        self.problems: list[Mapping[str, Any]] = list(problem.get("problems") or [])

    def field_lines(self, say: Speech) -> list[str]:
        """One line for each wrong field: ``resources.cpus: must be …``."""
        return [f"{p.get('where', '')}: {say.words(p)}" for p in self.problems]


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; ``data`` is its JSON."""

    name: str
    data: Json


class Connection:
    """The pool of connections to one platform, shared by all readers; it holds no credential."""

    def __init__(self, api_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.http = httpx.AsyncClient(
            base_url=api_url.rstrip("/") + PREFIX, timeout=TIMEOUT, transport=transport, trust_env=False,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=20),
        )  # fmt: skip

    async def close(self) -> None:
        await self.http.aclose()


@dataclass(frozen=True, slots=True)
class Api:
    """The platform as one reader sees it. ``secret`` is the session's and never shown or logged."""

    connection: Connection
    language: Language
    secret: str | None = field(default=None, repr=False)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {"Accept-Language": self.language}
        if self.secret:
            headers["Authorization"] = f"Bearer {self.secret}"
        return headers

    async def get(self, path: str, /, **params: str | int | None) -> Json:
        given = {k: v for k, v in params.items() if v is not None}
        return await self._send("GET", path, params=given)

    async def post(self, path: str, body: Json | None = None) -> Json:
        return await self._change("POST", path, body)

    async def put(self, path: str, body: Json) -> Json:
        return await self._change("PUT", path, body)

    async def _change(self, method: str, path: str, body: Json | None) -> Json:
        """One intended change: its key stays the same when a broken connection makes it go twice."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        try:
            return await self._send(method, path, json=body, headers=headers)
        except _Broken:
            return await self._send(method, path, json=body, headers=headers)

    async def put_bytes(self, path: str, content: bytes) -> Json:
        """Bytes under their digest; the same bytes again change nothing."""
        return await self._send("PUT", path, content=content, headers={"Content-Type": "application/octet-stream"})

    async def delete(self, path: str) -> None:
        await self._send("DELETE", path)

    async def _send(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Json:
        try:
            answer = await self.connection.http.request(
                method, path, headers={**self._headers(), **(headers or {})}, **more
            )
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise _Broken(str(error)) from error
        except httpx.HTTPError as error:
            raise ApiAway(str(error)) from error
        if answer.is_success:
            return _object(answer.content) if answer.content else {}
        raise _problem(answer.status_code, answer.content)

    @asynccontextmanager
    async def stream(self, path: str, /, **params: str | int) -> AsyncIterator[httpx.Response]:
        """An answer that is read piece by piece."""
        http = self.connection.http
        try:
            async with http.stream(
                "GET", path, params=params, headers=self._headers(), timeout=STREAM_TIMEOUT
            ) as answer:
                if not answer.is_success:
                    raise _problem(answer.status_code, await answer.aread())
                yield answer
        except httpx.HTTPError as error:
            raise ApiAway(str(error)) from error

    async def events(self, path: str, **params: str | int) -> AsyncIterator[Event]:
        """The server-sent events of ``path`` until the platform ends them."""
        async with self.stream(path, **params) as answer:
            name, data = "message", ""
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    data += line[5:].strip()
                elif not line:
                    if data:
                        yield Event(name, _object(data.encode()))
                    name, data = "message", ""


class _Broken(ApiAway):
    """The connection broke after the request had gone out; a change may or may not have been made."""


def _object(content: bytes) -> Json:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ApiAway("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise ApiAway("the answer is not a JSON object")
    return found


def _problem(status: int, content: bytes) -> ApiProblem | ApiAway:
    try:
        return ApiProblem(status, _object(content))
    except ApiAway:
        return ApiAway(f"the answer {status} is not a problem document")
