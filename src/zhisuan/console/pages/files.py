"""Downloads: output and artefacts, passed through with the reader's own session."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import PurePosixPath
from urllib.parse import quote

from nicegui import App
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from zhisuan.console.client import Api, ApiAway, ApiProblem, Connection
from zhisuan.console.parts import local
from zhisuan.console.session import Session
from zhisuan.console.text_frame import Frame

LOG_BYTES = 262_144
PAGES_MAX = 50


def register(web: App, connection: Connection) -> None:
    @web.get("/workloads/{workload_id}/log.txt", include_in_schema=False)
    async def log(workload_id: str) -> Response:
        return await answer_for(connection, lambda api: _log(api, workload_id))

    @web.get("/workloads/{workload_id}/artefacts/{artefact_id}", include_in_schema=False)
    async def artefact(request: Request, workload_id: str, artefact_id: str) -> Response:
        return await answer_for(connection, lambda api: _artefact(api, workload_id, artefact_id))


async def answer_for(connection: Connection, make: Callable[[Api], Awaitable[Response]]) -> Response:
    """What ``make`` answers for the reader who is signed in; a refusal is told in plain text."""
    session = Session()
    if session.secret is None:
        return RedirectResponse("/sign-in", 303)
    try:
        return await make(Api(connection, session.language, session.secret))
    except ApiProblem as problem:
        return PlainTextResponse(f"{problem.detail} {problem.remedy}", problem.status)
    except ApiAway:
        return PlainTextResponse(session.say(Frame.AWAY_TEXT), 503)


async def _log(api: Api, workload_id: str) -> Response:
    path = f"/workloads{local(workload_id)}/logs"
    first = await api.get(path, offset=0, limit=LOG_BYTES)

    async def pieces() -> AsyncIterator[bytes]:
        piece = first
        while piece["text"]:
            yield str(piece["text"]).encode()
            piece = await api.get(path, offset=int(piece["next_offset"]), limit=LOG_BYTES)

    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8", headers=attached(f"{workload_id}.log"))


async def _artefact(api: Api, workload_id: str, artefact_id: str) -> Response:
    name = await _name(api, workload_id, artefact_id)
    source = api.stream(f"/artefacts{local(artefact_id)}/content")
    answer = await source.__aenter__()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_bytes(65_536):
                yield piece
        finally:
            await source.__aexit__(None, None, None)

    headers = attached(name)
    if "content-length" in answer.headers:
        headers["Content-Length"] = answer.headers["content-length"]
    return StreamingResponse(pieces(), media_type="application/octet-stream", headers=headers)


async def _name(api: Api, workload_id: str, artefact_id: str) -> str:
    """The file's own name; an artefact that is not of this workload keeps its id."""
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await api.get(f"/workloads{local(workload_id)}/artefacts", limit=200, cursor=cursor)
        for item in page["items"]:
            if item["id"] == artefact_id:
                return PurePosixPath(str(item["path"])).name or artefact_id
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return artefact_id


def attached(name: str) -> dict[str, str]:
    """Saved under its name and never shown in place, whatever it holds."""
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Cache-Control": "private, no-store",
    }
