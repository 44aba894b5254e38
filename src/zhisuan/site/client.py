"""The agent's calls to the server: outbound HTTPS, verified, each with a time limit, answers turned into messages.

Network failures, time-outs and answers that ask to come back later raise ``Unreachable``; a 401 to the credential raises
``CredentialRevoked``; any other refusal raises ``Refused`` with the server's own words. The credential may be replaced while
calls are on their way: one that was refused with the old one is as good as unanswered.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
from pydantic import ValidationError

from zhisuan import __version__
from zhisuan.base.errors import FieldProblem
from zhisuan.base.text import Text
from zhisuan.site.errors import ConfigUnusable, CredentialRevoked, JoinRefused, Refused, Unreachable
from zhisuan.wire import PREFIX
from zhisuan.wire.checkpoints import CheckpointAnswer, CheckpointList
from zhisuan.wire.common import Accepted, Message
from zhisuan.wire.joining import CredentialRequest, HelloAnswer, HelloRequest, SiteStanding
from zhisuan.wire.links import LinkBatch, PeersAnswer
from zhisuan.wire.site import (
    AccountBatch,
    ArtefactAnswer,
    Inventory,
    JoinAnswer,
    JoinRequest,
    LogAnswer,
    LogChunk,
    SecretValues,
    SyncAnswer,
    SyncRequest,
    UsageBatch,
)

Answer = TypeVar("Answer", bound=Message)

DIGEST_HEADER = "x-content-sha256"
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
_TRANSFER_STALL_SECONDS = 120.0
_COME_BACK_LATER = frozenset({408, 425, 429})
_NEW_TOKEN = Text(
    "Ask the platform's operator for a new join token; a token works once and only for a while.",
    "请向平台运营方申请新的加入令牌；令牌只能使用一次，且有有效期。",
)


class ServerClient:
    """One session of connections. ``credential`` is set after joining; every call but ``join`` needs it."""

    def __init__(self, server_url: str, *, ca_file: Path | None = None, credential: str | None = None) -> None:
        self._base = server_url.rstrip("/") + PREFIX
        self._ssl = _tls(ca_file)
        self._session: aiohttp.ClientSession | None = None
        self.credential = credential

    @property
    def protected(self) -> bool:
        """Whether nobody between here and the server can listen: TLS, or this machine itself."""
        url = urlsplit(self._base)
        return url.scheme == "https" or url.hostname in ("127.0.0.1", "::1", "localhost")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def hello(self, token: str | None = None) -> HelloAnswer:
        """The server's time, and what a join token would do."""
        return await self._post("/hello", HelloRequest(token=token), HelloAnswer, authorised=False)

    async def join(self, request: JoinRequest) -> JoinAnswer:
        """Raises JoinRefused when the server does not take the token."""
        try:
            return await self._post("/join", request, JoinAnswer, authorised=False)
        except Refused as error:
            raise JoinRefused(
                Text(f"This site cannot join: {error.said.en}", f"站点无法加入：{error.said.zh}"),
                error.remedy if error.remedy.en else _NEW_TOKEN,
                problems=error.problems,
            ) from error

    async def standing(self) -> SiteStanding:
        """What the platform makes of this site."""
        async with self._call("GET", "/site", _answer(_ANSWER_SECONDS)) as response:
            return _parse(SiteStanding, await response.read())

    async def send_credential(self, digest: str) -> SiteStanding:
        """Let the credential with this digest wait for its first use."""
        return await self._post("/credential", CredentialRequest(credential_digest=digest), SiteStanding)

    async def peers(self) -> PeersAnswer:
        """Which sites' distance to measure next."""
        async with self._call("GET", "/peers", _answer(_ANSWER_SECONDS)) as response:
            return _parse(PeersAnswer, await response.read())

    async def send_links(self, batch: LinkBatch) -> Accepted:
        return await self._post("/links", batch, Accepted)

    async def send_inventory(self, inventory: Inventory) -> Accepted:
        return await self._post("/inventory", inventory, Accepted)

    async def sync(self, request: SyncRequest) -> SyncAnswer:
        return await self._post("/sync", request, SyncAnswer, seconds=request.wait_seconds + _ANSWER_SECONDS)

    async def send_usage(self, batch: UsageBatch) -> Accepted:
        return await self._post("/usage", batch, Accepted)

    async def send_accounts(self, batch: AccountBatch) -> Accepted:
        return await self._post("/accounts", batch, Accepted)

    async def send_log(self, chunk: LogChunk) -> LogAnswer:
        return await self._post("/logs", chunk, LogAnswer)

    async def put_artefact(
        self, lease_id: str, generation: int, path: str, body: AsyncIterator[bytes], *, size_bytes: int, sha256: str
    ) -> ArtefactAnswer:
        """Stream one file; the server answers with the digest of what it kept."""
        where = f"/artefacts/{quote(lease_id, safe='')}/{generation}"
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(size_bytes),
            DIGEST_HEADER: sha256,
        }
        async with self._call("PUT", where, _transfer(), params={"path": path}, data=body, headers=headers) as response:
            return _parse(ArtefactAnswer, await response.read())

    async def offer_checkpoint(self, lease_id: str, generation: int, files: CheckpointList) -> CheckpointAnswer:
        return await self._post(f"/checkpoints/{quote(lease_id, safe='')}/{generation}", files, CheckpointAnswer)

    async def put_checkpoint_bytes(
        self, lease_id: str, generation: int, body: AsyncIterator[bytes], *, size_bytes: int, sha256: str
    ) -> None:
        where = f"/checkpoints/{quote(lease_id, safe='')}/{generation}/{sha256}"
        headers = {"content-type": "application/octet-stream", "content-length": str(size_bytes)}
        async with self._call("PUT", where, _transfer(), data=body, headers=headers):
            return

    @asynccontextmanager
    async def blob(self, blob_id: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer whose body is the archive; read it inside the block, where its failures become ``Unreachable``."""
        async with self._call("GET", f"/blobs/{quote(blob_id, safe='')}", _transfer()) as response:
            yield response

    async def secrets(self, lease_id: str, generation: int) -> dict[str, str]:
        """The secrets of a lease; held in memory only."""
        where = f"/secrets/{quote(lease_id, safe='')}/{generation}"
        async with self._call("GET", where, _answer(_ANSWER_SECONDS)) as response:
            return _parse(SecretValues, await response.read()).values

    async def ask(self, where: str, message: Message, answer: type[Answer]) -> Answer:
        """A call of a part of the wire that has its own module."""
        return await self._post(where, message, answer)

    @asynccontextmanager
    async def transfer(
        self, method: str, where: str, *, params: dict[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None, headers: dict[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        """A call that lasts as long as bytes move; read its answer inside the block."""
        async with self._call(method, where, _transfer(), params=params, data=data, headers=headers) as response:
            yield response

    async def _post(
        self,
        where: str,
        message: Message,
        answer: type[Answer],
        *,
        seconds: float = _ANSWER_SECONDS,
        authorised: bool = True,
    ) -> Answer:
        timeout = _answer(seconds)
        body = message.model_dump_json().encode()
        headers = {"content-type": "application/json"}
        async with self._call("POST", where, timeout, data=body, headers=headers, authorised=authorised) as response:
            return _parse(answer, await response.read())

    @asynccontextmanager
    async def _call(
        self,
        method: str,
        where: str,
        timeout: aiohttp.ClientTimeout,
        *,
        params: dict[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
        authorised: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        sent = dict(headers or {})
        credential = self.credential if authorised else None
        if credential:
            sent["authorization"] = f"Bearer {credential}"
        try:
            async with self._open().request(
                method,
                self._base + where,
                params=params,
                data=data,
                headers=sent,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status == 401 and credential != self.credential and authorised:
                    raise Unreachable("the credential was being replaced")
                if not 200 <= response.status < 300:
                    await _raise_for(response, authorised=authorised)
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            raise Unreachable(f"its certificate is not trusted ({error.certificate_error})") from error
        except aiohttp.ClientError as error:
            raise Unreachable(f"{error or type(error).__name__}".strip()) from error
        except TimeoutError as error:
            raise Unreachable("no answer in time") from error
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._ssl, limit=32, keepalive_timeout=60),
                headers={"user-agent": f"zhisuan-agent/{__version__}", "accept-encoding": "identity"},
            )
        return self._session


def _answer(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds + _CONNECT_SECONDS, sock_connect=_CONNECT_SECONDS)


def _transfer() -> aiohttp.ClientTimeout:
    """A transfer may last as long as bytes move."""
    return aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_TRANSFER_STALL_SECONDS)


def _tls(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigUnusable(
            Text(f"The CA file {ca_file} cannot be used: {error}.", f"CA 证书文件 {ca_file} 无法使用：{error}。"),
            Text("Give a PEM file with the certificate authority's certificate.", "请提供 PEM 格式的 CA 证书文件。"),
        ) from error


def _parse(answer: type[Answer], body: bytes) -> Answer:
    try:
        return answer.model_validate_json(body)
    except ValidationError as error:
        raise Unreachable(f"its answer is not a {answer.__name__} ({error.error_count()} problems)") from error


async def _raise_for(response: aiohttp.ClientResponse, *, authorised: bool) -> None:
    status = response.status
    told = await _problem(response)
    if status == 401 and authorised:
        raise CredentialRevoked(
            Text(
                f"The server does not accept this site's credential (any more): {told.said.en}",
                f"服务器不接受（或已吊销）本站点的凭据：{told.said.zh}",
            ),
            Text(
                "Work that runs here goes on. To take it up again, get a new join token (`zhisuan site token SITE`) and run "
                "`zhisuan site join` with it on this data folder.",
                "正在运行的作业会继续。若要重新接管，请获取新的加入令牌（zhisuan site token SITE），"
                "并用它在同一数据目录上运行 zhisuan site join。",
            ),
        )
    if status in _COME_BACK_LATER or status >= 500:
        raise Unreachable(f"it answered {status} {told.code}: {told.said.en}")
    refused = Refused(status, told.code, told.said.en, told.remedy.en, zh=(told.said.zh, told.remedy.zh))
    refused.problems = told.problems
    raise refused


@dataclass(frozen=True, slots=True)
class _Told:
    """A problem document, or the best that can be said of any other answer."""

    code: str
    said: Text
    remedy: Text
    problems: tuple[FieldProblem, ...] = ()


async def _problem(response: aiohttp.ClientResponse) -> _Told:
    body = (await response.content.read(64 * 1024)).decode("utf-8", "replace")
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        plain = " ".join(body.split())[:200] or "no explanation"
        return _Told(response.reason or "error", Text(plain, plain), Text("", ""))
    detail = str(document.get("detail") or document.get("title") or "no explanation")
    remedy, chinese = str(document.get("remedy", "")), document.get("zh")
    zh = chinese if isinstance(chinese, dict) else {}
    return _Told(
        str(document.get("code", response.reason)),
        Text(detail, str(zh.get("detail") or detail)),
        Text(remedy, str(zh.get("remedy") or remedy)),
        tuple(
            FieldProblem(str(p.get("where", "")), Text(str(p.get("en", "")), str(p.get("zh", ""))))
            for p in document.get("problems") or ()
            if isinstance(p, dict)
        ),
    )
