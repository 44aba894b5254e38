"""The gateway's calls to the server: the only way it learns anything or reports anything."""

import logging
from types import TracebackType
from typing import TypeVar

import aiohttp
from pydantic import ValidationError

from zhisuan.gateway.config import GatewayConfig
from zhisuan.wire import PREFIX
from zhisuan.wire.common import Accepted, Message
from zhisuan.wire.gateway import (
    KeyAnswer,
    KeyQuestion,
    RoutesAnswer,
    RoutesQuestion,
    ShellAnswer,
    ShellQuestion,
    SiteAnswer,
    SiteQuestion,
    TokenUsageBatch,
    WorkspaceAnswer,
    WorkspaceEntered,
    WorkspaceEntry,
    WorkspaceQuestion,
)

log = logging.getLogger(__name__)
Answer = TypeVar("Answer", bound=Message)


class ServerUnavailable(Exception):
    """The server cannot be asked now: no connection, no answer in time, or an answer that is no answer."""


class MessageRefused(ServerUnavailable):
    """The server cannot take this message as it is; sending the same again will not help."""


class ControlClient:
    """One pooled HTTP client. Use as an async context manager."""

    def __init__(self, config: GatewayConfig) -> None:
        self._base = config.server_url.rstrip("/") + PREFIX + "/gateway/"
        self._seconds = config.control_seconds_max
        self._credential = config.credential
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "ControlClient":
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._credential.get_secret_value()}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=64),
        )
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    async def authorise(self, key_digest: str) -> KeyAnswer:
        return await self._ask("authorise", KeyQuestion(key_digest=key_digest), KeyAnswer)

    async def site(self, credential_digest: str) -> SiteAnswer:
        return await self._ask("site", SiteQuestion(credential_digest=credential_digest), SiteAnswer)

    async def routes(self, known_version: str | None, wait_seconds: int) -> RoutesAnswer:
        question = RoutesQuestion(known_version=known_version, wait_seconds=wait_seconds)
        return await self._ask("routes", question, RoutesAnswer, wait_seconds=wait_seconds)

    async def usage(self, batch: TokenUsageBatch) -> Accepted:
        return await self._ask("usage", batch, Accepted)

    async def workspace(self, question: str) -> WorkspaceAnswer:
        """``question`` is the workspace's id and the digest of a credential, with a space between."""
        workload_id, _, credential_digest = question.partition(" ")
        message = WorkspaceQuestion(workload_id=workload_id, credential_digest=credential_digest)
        return await self._ask("workspace", message, WorkspaceAnswer)

    async def shell(self, question: ShellQuestion) -> ShellAnswer:
        return await self._ask("shell", question, ShellAnswer)

    async def enter(self, entry: WorkspaceEntry) -> WorkspaceEntered:
        return await self._ask("enter", entry, WorkspaceEntered)

    async def _ask(self, call: str, question: Message, form: type[Answer], *, wait_seconds: int = 0) -> Answer:
        if self._session is None:
            raise ServerUnavailable("the gateway is not started")
        try:
            async with self._session.post(
                self._base + call,
                data=question.model_dump_json(),
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=self._seconds + wait_seconds, connect=self._seconds),
                allow_redirects=False,
            ) as answer:
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServerUnavailable(f"{call}: {type(error).__name__}: {error}") from error
        if answer.status in (400, 413, 422):
            raise MessageRefused(f"{call}: the server answered {answer.status}")
        if answer.status != 200:
            if answer.status in (401, 403):
                log.error("the server refuses this gateway's credential (%s on %s)", answer.status, call)
            raise ServerUnavailable(f"{call}: the server answered {answer.status}")
        try:
            return form.model_validate_json(text)
        except ValidationError as error:
            raise ServerUnavailable(
                f"{call}: the server's answer cannot be read: {error.error_count()} fields"
            ) from error
