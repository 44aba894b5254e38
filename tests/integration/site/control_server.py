"""A control server for the agent's tests: it speaks the wire messages and remembers everything it was told."""

import asyncio
import base64
import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from zhisuan.base.secrets import digest
from zhisuan.wire.common import Accepted
from zhisuan.wire.data import UploadAnswer, UploadRequest
from zhisuan.wire.site import (
    AccountBatch,
    AccountReport,
    ArtefactAnswer,
    Inventory,
    JoinAnswer,
    JoinRequest,
    LeaseOffer,
    LeasePhase,
    LeaseReport,
    LogAnswer,
    LogChunk,
    SecretValues,
    SyncAnswer,
    SyncRequest,
    UsageBatch,
    UsageWindow,
)

TOKEN = "jtk_test"
Key = tuple[str, int]


@dataclass
class Seen:
    """What the agent has told; times are of this process's monotonic clock."""

    joins: list[JoinRequest] = field(default_factory=list)
    inventories: list[Inventory] = field(default_factory=list)
    syncs: list[SyncRequest] = field(default_factory=list)
    reports: dict[Key, list[tuple[float, LeaseReport]]] = field(default_factory=lambda: defaultdict(list))
    windows: dict[str, UsageWindow] = field(default_factory=dict)
    replayed_windows: int = 0
    logs: dict[Key, bytes] = field(default_factory=dict)
    log_times: dict[Key, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    artefacts: dict[Key, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    uploads: list[tuple[Key, str]] = field(default_factory=list)
    accounts: dict[Key, list[AccountReport]] = field(default_factory=lambda: defaultdict(list))
    blobs_fetched: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


class ControlServer:
    """Runs in a thread of its own on a loopback port. ``offered`` is what should run; a lease whose complete end was told
    leaves the list by itself. ``faults`` are called before a request is handled and may raise or return an answer."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.blobs: dict[str, bytes] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.faults: list[Callable[[web.Request], web.StreamResponse | None]] = []
        self.after: list[Callable[[web.Request], None]] = []
        self.keep_completed = False
        self.credential_digest: str | None = None
        self.log_bytes_max: int | None = None
        self.gateway_url: str | None = None
        self._offered: dict[Key, LeaseOffer] = {}
        self._version = 0
        self._parts: dict[str, bytearray] = {}
        self._last: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._condition = threading.Condition()
        self._runner: web.AppRunner | None = None
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.start()

    # -- for the tests ---------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._call(self._open())

    def stop(self) -> None:
        """Stop listening and cut all connections; what was seen stays."""
        self._call(self._shut())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def offer(self, offer: LeaseOffer) -> None:
        self._loop.call_soon_threadsafe(self._change, (offer.lease_id, offer.generation), offer)

    def withdraw(self, key: Key) -> None:
        self._loop.call_soon_threadsafe(self._change, key, None)

    def wait(self, what: str, condition: Callable[[Seen], Any], seconds: float = 90.0) -> Any:
        """Until ``condition`` of what was seen is true; its value."""
        deadline = time.monotonic() + seconds
        with self._condition:
            while not (value := condition(self.seen)):
                # Also looked at now and then: not every condition changes with a request.
                self._condition.wait(0.1)
                if time.monotonic() > deadline:
                    raise AssertionError(f"not seen within {seconds} s: {what}; violations: {self.seen.violations}")
            return value

    def wait_phase(self, key: Key, phase: LeasePhase, seconds: float = 90.0) -> LeaseReport:
        def found(seen: Seen) -> LeaseReport | None:
            return next((r for _, r in seen.reports[key] if r.phase is phase), None)

        report: LeaseReport = self.wait(f"{key} {phase}", found, seconds)
        return report

    def wait_complete(self, key: Key, seconds: float = 90.0) -> LeaseReport:
        def found(seen: Seen) -> LeaseReport | None:
            return next((r for _, r in seen.reports[key] if r.complete), None)

        report: LeaseReport = self.wait(f"{key} complete", found, seconds)
        return report

    # -- the server ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _open(self) -> None:
        app = web.Application(client_max_size=64 * 1024**2, middlewares=[self._around])
        app.add_routes(
            [
                web.post("/wire/v1/join", self._join),
                web.post("/wire/v1/inventory", self._inventory),
                web.post("/wire/v1/sync", self._sync),
                web.post("/wire/v1/usage", self._usage),
                web.post("/wire/v1/accounts", self._accounts),
                web.post("/wire/v1/logs", self._logs),
                web.put("/wire/v1/artefacts/{lease_id}/{generation}", self._artefact),
                web.post("/wire/v1/uploads", self._upload),
                web.put("/wire/v1/uploads/{lease_id}/{generation}/{upload_id}", self._part),
                web.get("/wire/v1/blobs/{blob_id}", self._blob),
                web.get("/wire/v1/secrets/{lease_id}/{generation}", self._secrets),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def _shut(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            self._changed.set()
            await runner.cleanup()

    def _change(self, key: Key, offer: LeaseOffer | None) -> None:
        if offer is None:
            self._offered.pop(key, None)
        else:
            for other in [k for k in self._offered if k[0] == key[0]]:
                del self._offered[other]
            self._offered[key] = offer
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    @web.middleware
    async def _around(self, request: web.Request, handler: Any) -> web.StreamResponse:
        for fault in list(self.faults):
            answer = fault(request)
            if answer is not None:
                return answer
        if request.path != "/wire/v1/join":
            bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
            if self.credential_digest is None or digest(bearer) != self.credential_digest:
                return problem(401, "not_authenticated", "This credential is not known.")
        answer = await handler(request)
        with self._condition:
            self._condition.notify_all()
        for hook in list(self.after):
            hook(request)
        return answer  # type: ignore[no-any-return]

    async def _join(self, request: web.Request) -> web.Response:
        asked = JoinRequest.model_validate_json(await request.read())
        self.seen.joins.append(asked)
        if asked.token != TOKEN or self.credential_digest not in (None, asked.credential_digest):
            return problem(401, "not_authenticated", "This join token is not valid or was used.")
        self.credential_digest = asked.credential_digest
        return answered(JoinAnswer(site_id="site_1", site_name="test site", gateway_url=self.gateway_url))

    async def _inventory(self, request: web.Request) -> web.Response:
        self.seen.inventories.append(Inventory.model_validate_json(await request.read()))
        return answered(Accepted(accepted=1))

    async def _sync(self, request: web.Request) -> web.Response:
        asked = SyncRequest.model_validate_json(await request.read())
        self._take_reports(asked)
        with self._condition:
            self._condition.notify_all()
        if asked.wait_seconds and asked.known_version == str(self._version):
            try:
                async with asyncio.timeout(asked.wait_seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return answered(
            SyncAnswer(version=str(self._version), server_time=datetime.now(UTC), leases=tuple(self._offered.values()))
        )

    def _take_reports(self, asked: SyncRequest) -> None:
        self.seen.syncs.append(asked)
        if asked.sequence <= self._last.get(asked.agent_boot, 0):
            return
        self._last[asked.agent_boot] = asked.sequence
        for report in asked.leases:
            key = (report.lease_id, report.generation)
            before = self.seen.reports[key][-1][1] if self.seen.reports[key] else None
            self._check(before, report)
            self.seen.reports[key].append((time.monotonic(), report))
            if report.complete and not self.keep_completed and key in self._offered:
                self._change(key, None)

    def _check(self, before: LeaseReport | None, now: LeaseReport) -> None:
        """What must hold between two reports of one generation."""
        if before is None:
            return
        order = list(LeasePhase)
        if order.index(now.phase) < order.index(before.phase):
            self.seen.violations.append(f"phase went back: {before.phase} → {now.phase}")
        for name in ("started_at", "ended_at", "exit_code", "reason"):
            was = getattr(before, name)
            if was is not None and was != getattr(now, name):
                self.seen.violations.append(f"{name} changed: {was} → {getattr(now, name)}")
        if before.complete and not now.complete:
            self.seen.violations.append("complete was taken back")

    async def _usage(self, request: web.Request) -> web.Response:
        batch = UsageBatch.model_validate_json(await request.read())
        duplicate = 0
        for window in batch.windows:
            known = self.seen.windows.setdefault(window.id, window)
            if known is not window:
                duplicate += 1
                if known != window:
                    self.seen.violations.append(f"window {window.id} came twice and differs")
        self.seen.replayed_windows += duplicate
        return answered(Accepted(accepted=len(batch.windows) - duplicate, duplicate=duplicate))

    async def _accounts(self, request: web.Request) -> web.Response:
        batch = AccountBatch.model_validate_json(await request.read())
        for account in batch.accounts:
            self.seen.accounts[account.lease_id, account.generation].append(account)
        return answered(Accepted(accepted=len(batch.accounts)))

    async def _logs(self, request: web.Request) -> web.Response:
        chunk = LogChunk.model_validate_json(await request.read())
        key = (chunk.lease_id, chunk.generation)
        data = base64.b64decode(chunk.data, validate=True)
        kept = self.seen.logs.get(key, b"")
        if self.log_bytes_max is not None and len(kept) >= self.log_bytes_max:
            return problem(413, "too_large", "The log of this lease is full.")
        if chunk.offset <= len(kept):
            overlap = kept[chunk.offset :]
            if data[: len(overlap)] != overlap[: len(data)]:
                self.seen.violations.append(f"log of {key} differs at {chunk.offset}")
            kept += data[len(overlap) :]
        self.seen.logs[key] = kept
        self.seen.log_times[key].append((time.monotonic(), len(kept)))
        return answered(LogAnswer(next_offset=len(kept)))

    async def _artefact(self, request: web.Request) -> web.Response:
        key = (request.match_info["lease_id"], int(request.match_info["generation"]))
        path = request.query["path"]
        body = await request.read()
        sha256 = hashlib.sha256(body).hexdigest()
        if request.headers["x-content-sha256"] != sha256:
            return problem(422, "invalid_input", "The digest does not match the bytes.")
        self.seen.uploads.append((key, path))
        if self.seen.artefacts[key].setdefault(path, body) != body:
            self.seen.violations.append(f"artefact {path} changed")
        return answered(ArtefactAnswer(path=path, size_bytes=len(body), sha256=sha256))

    async def _upload(self, request: web.Request) -> web.Response:
        """A big file comes in parts; the answer says how much of it is here."""
        asked = UploadRequest.model_validate_json(await request.read())
        self._parts.setdefault(asked.sha256, bytearray())
        return self._standing(asked.sha256, asked.lease_id, asked.generation, asked.artefact or "")

    async def _part(self, request: web.Request) -> web.Response:
        sha256 = request.match_info["upload_id"]
        data = await request.read()
        here = self._parts[sha256]
        if int(request.query["offset"]) == len(here):
            here += data
        key = request.match_info["lease_id"], int(request.match_info["generation"])
        return self._standing(sha256, *key, request.query["artefact"])

    def _standing(self, sha256: str, lease_id: str, generation: int, path: str) -> web.Response:
        body = bytes(self._parts[sha256])
        if hashlib.sha256(body).hexdigest() != sha256:
            return answered(UploadAnswer(upload_id=sha256, offset=len(body), complete=False))
        key = (lease_id, generation)
        self.seen.uploads.append((key, path))
        if self.seen.artefacts[key].setdefault(path, body) != body:
            self.seen.violations.append(f"artefact {path} changed")
        return answered(UploadAnswer(upload_id=None, offset=len(body), complete=True))

    async def _blob(self, request: web.Request) -> web.Response:
        blob_id = request.match_info["blob_id"]
        self.seen.blobs_fetched.append(blob_id)
        if blob_id not in self.blobs:
            return problem(404, "not_found", f"There is no blob {blob_id} here.")
        body = self.blobs[blob_id]
        return web.Response(body=body, headers={"x-content-sha256": hashlib.sha256(body).hexdigest()})

    async def _secrets(self, request: web.Request) -> web.Response:
        values = self.secrets.get(request.match_info["lease_id"])
        if values is None:
            return problem(404, "not_found", "There is no such open lease here.")
        return answered(SecretValues(values=values))


def answered(message: Any) -> web.Response:
    return web.Response(body=message.model_dump_json().encode(), content_type="application/json")


def problem(status: int, code: str, detail: str) -> web.Response:
    body = {"type": f"urn:zhisuan:error:{code}", "status": status, "code": code, "detail": detail, "remedy": "Ask."}
    return web.json_response(body, status=status, content_type="application/problem+json")


def windows_of(seen: Seen, key: Key) -> list[UsageWindow]:
    return sorted((w for w in seen.windows.values() if (w.lease_id, w.generation) == key), key=lambda w: w.start)


def assert_tiled(windows: list[UsageWindow], end: LeaseReport) -> None:
    """The windows are exactly ``[started, ended)``, each inside one minute."""
    assert end.started_at is not None
    assert end.ended_at is not None
    at = end.started_at
    for window in windows:
        assert window.start == at < window.end
        assert int(window.start.timestamp()) // 60 == (int(window.end.timestamp()) - 1) // 60
        at = window.end
    assert at == end.ended_at
    assert sum((w.end - w.start for w in windows), timedelta()) == end.ended_at - end.started_at
