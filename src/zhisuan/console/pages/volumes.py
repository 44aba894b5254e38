"""Volumes: the list, one volume with its versions, files and uses; single files down and up."""

import hashlib
import shlex
from collections.abc import AsyncIterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from nicegui import App
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from zhisuan.console.client import Api, ApiProblem, Connection
from zhisuan.console.format import ZONE, bytes_text, moment
from zhisuan.console.pages.files import answer_for, attached
from zhisuan.console.parts import (
    Column,
    button,
    button_link,
    card,
    div,
    el,
    empty,
    facts,
    field,
    form,
    link,
    local,
    table,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.session import Session
from zhisuan.console.show import Asked, console_page, show
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_volumes import Volumes
from zhisuan.console.text_work import Work

READ = ("org:volume:read",)
LIMIT = 50
ENTRIES = 200
UPLOAD_BYTES_MAX = 64 * 1024**2


def register(web: App, connection: Connection) -> None:
    asked = Asked("volumes", Volumes.TITLE, READ)

    @console_page("/volumes")
    async def volumes(request: Request, cursor: str = "") -> Response | None:
        return await show(request, connection, asked, lambda reader: _list(reader, cursor))

    @console_page("/volumes/{name}")
    async def one(request: Request, name: str, version: int = 0, path: str = "", after: str = "") -> Response | None:
        return await show(request, connection, asked, lambda reader: _one(reader, name, version, path.strip("/"), after))

    @web.get("/volumes/{name}/file", include_in_schema=False)
    async def file(name: str, path: str, version: int) -> Response:
        return await answer_for(connection, lambda api: _file(api, name, path, version))

    @web.post("/volumes/{name}/upload", include_in_schema=False)
    async def upload(request: Request, name: str, path: str = "") -> Response:
        return await answer_for(connection, lambda api: _upload(api, request, name, path.strip("/")))


async def _list(reader: Reader, cursor: str) -> None:
    say = reader.say
    page = await reader.api.get("/volumes", limit=LIMIT, cursor=cursor or None)
    use = await reader.api.get("/data-use")
    with div("page-head"):
        el("h1", say(Volumes.TITLE))
        el("span", say(Volumes.USED, used=bytes_text(use["bytes_used"]), most=bytes_text(use["bytes_max"])), "hint")
    with card():
        if page["items"]:
            columns = (
                Column(say(Volumes.NAME), wide=True), Column(say(Volumes.CURRENT), number=True),
                Column(say(Volumes.FILES), number=True), Column(say(Volumes.SIZE), number=True),
                Column(f"{say(Volumes.CREATED)} ({ZONE})", number=True),
            )  # fmt: skip
            table(say(Volumes.TITLE), columns, [_row(reader, v) for v in page["items"]])
        else:
            empty(say(Volumes.EMPTY), say(Volumes.EMPTY_TEXT), say, line="zhisuan volumes create NAME")
    if reader.may("org:volume:write"):
        _make(reader)
    if page["next_cursor"]:
        with div("pager"):
            button_link(say(Frame.OLDER), f"/volumes?cursor={page['next_cursor']}", rel="next")


def _row(reader: Reader, found: Mapping[str, Any]) -> list[Any]:
    current = found["current"]
    return [
        lambda: link(found["name"], local("volumes", found["name"]), "strong"),
        str(current["number"]) if current else reader.say(Volumes.NONE_YET),
        str(current["file_count"]) if current else "–",
        bytes_text(current["size_bytes"]) if current else "–",
        moment(found["created_at"]),
    ]


def _make(reader: Reader) -> None:
    say = reader.say

    async def make(given: Mapping[str, Any]) -> None:
        from nicegui import ui

        try:
            made = await reader.api.post("/volumes", {"name": str(given.get("name", "")).strip()})
        except ApiProblem as problem:
            tell(f"{problem.detail} {problem.remedy}", bad=True)
            return
        tell(say(Volumes.MADE))
        ui.navigate.to(local("volumes", made["name"]))

    with card(say(Volumes.MAKE)), form(make):
        field("name", say(Volumes.NEW_NAME), required=True, maxlength="63", hint=say(Volumes.NAME_HINT))
        el("button", say(Volumes.MAKE), "button primary", type="submit")


async def _one(reader: Reader, name: str, version: int, path: str, after: str) -> None:
    say, base = reader.say, f"/volumes{local(name)}"
    found = await reader.api.get(base)
    number = version or found["current_number"]
    versions = await reader.api.get(f"{base}/versions", limit=LIMIT)
    uses = await reader.api.get(f"{base}/uses", limit=LIMIT)
    entries: dict[str, Any] = {"items": [], "next_cursor": None}
    if number:
        entries = await reader.api.get(f"{base}/folder", version=number, path=path, limit=ENTRIES, cursor=after or None)
    with div("page-head"):
        el("h1", name)
        link(say(Volumes.ALL), "/volumes")
    current = found["current"]
    with card():
        facts(
            [
                (say(Volumes.CURRENT), str(found["current_number"]) if current else say(Volumes.NONE_YET)),
                (say(Volumes.FILES), str(current["file_count"]) if current else "0"),
                (say(Volumes.SIZE), bytes_text(current["size_bytes"] if current else 0)),
                (f"{say(Volumes.CREATED)} ({ZONE})", moment(found["created_at"])),
            ]
        )
    _files(reader, name, number, path, entries)
    if reader.may("org:volume:write"):
        _upload_form(reader, name, path)
    if versions["items"]:
        _versions(reader, found, versions["items"])
    _uses(reader, uses["items"])


def _files(reader: Reader, name: str, number: int, path: str, entries: Mapping[str, Any]) -> None:
    say = reader.say
    with card(say(Volumes.CONTENT, number=number) if number else say(Volumes.BROWSE)):
        if path and not entries["items"]:
            _crumbs(reader, name, number, path)
            empty(say(Volumes.NO_FOLDER), say(Volumes.NO_FOLDER_TEXT), say)
            return
        if not entries["items"]:
            empty(say(Volumes.NOTHING), say(Volumes.NOTHING_TEXT), say, line=f"zhisuan volumes put FOLDER {name}")
            return
        _crumbs(reader, name, number, path)
        columns = (Column(say(Volumes.FILE), wide=True), Column(say(Volumes.FILES), number=True), Column(say(Volumes.SIZE), number=True))
        table(say(Volumes.BROWSE), columns, [_entry(name, number, path, e) for e in entries["items"]])
        if entries["next_cursor"]:
            with div("pager"):
                button_link(say(Volumes.MORE), f"{_place(name, number, path)}&after={entries['next_cursor']}", rel="next")


def _place(name: str, number: int, path: str) -> str:
    return f"{local('volumes', name)}?version={number}&path={local(path)[1:] if path else ''}"


def _crumbs(reader: Reader, name: str, number: int, path: str) -> None:
    with div("hint"):
        link(reader.say(Volumes.TOP), _place(name, number, ""))
        parts = path.split("/") if path else []
        for depth, part in enumerate(parts, 1):
            el("span", " / ")
            link(part, _place(name, number, "/".join(parts[:depth])))


def _entry(name: str, number: int, path: str, entry: Mapping[str, Any]) -> list[Any]:
    below = f"{path}/{entry['name']}" if path else str(entry["name"])
    if entry["is_folder"]:
        where, shown = _place(name, number, below), f"{entry['name']}/"
    else:
        where, shown = f"{local('volumes', name, 'file')}?version={number}&path={local(below)[1:]}", str(entry["name"])
    return [lambda: link(shown, where), str(entry["file_count"]), bytes_text(entry["size_bytes"])]


def _upload_form(reader: Reader, name: str, path: str) -> None:
    say = reader.say
    action = f"{local('volumes', name, 'upload')}?path={local(path)[1:] if path else ''}"
    sending = {"action": action, "method": "post", "enctype": "multipart/form-data"}
    with card(say(Volumes.UPLOAD), note=say(Volumes.UPLOAD_TEXT)), el("form", "", "inline-form upload", **sending):
        el("input", "", "input", name="file", type="file", required=True, aria_label=say(Volumes.UPLOAD))
        el("button", say(Volumes.UPLOAD), "button", type="submit")


def _versions(reader: Reader, volume: Mapping[str, Any], versions: list[Mapping[str, Any]]) -> None:
    say = reader.say
    columns = (
        Column(say(Volumes.NUMBER), number=True), Column(say(Volumes.FILES), number=True), Column(say(Volumes.SIZE), number=True),
        Column(f"{say(Volumes.CREATED)} ({ZONE})", number=True), Column(say(Volumes.CHANGED_BY)), Column(say(Volumes.NOTE), wide=True),
        Column(""),
    )  # fmt: skip
    with card(say(Volumes.VERSIONS)):
        table(say(Volumes.VERSIONS), columns, [_version_row(reader, volume, v) for v in versions])


def _version_row(reader: Reader, volume: Mapping[str, Any], version: Mapping[str, Any]) -> list[Any]:
    say, name = reader.say, volume["name"]

    async def make_current() -> None:
        from nicegui import ui

        try:
            await reader.api.post(f"/volumes{local(name)}/current", {"number": version["number"]})
        except ApiProblem as problem:
            tell(f"{problem.detail} {problem.remedy}", bad=True)
            return
        ui.navigate.to(local("volumes", name))

    def act() -> None:
        if version["number"] == volume["current_number"]:
            el("span", say(Volumes.IS_CURRENT), "hint")
        elif reader.may("org:volume:write"):
            button(say(Volumes.MAKE_CURRENT), make_current, "small")

    def made_by() -> None:
        if version["workload_id"]:
            link(version["workload_id"], local("workloads", version["workload_id"]))
        else:
            el("span", "–")

    note = say(Volumes.SIDE, side=version["side"]) if version["side"] else version["note"]
    return [
        lambda: link(str(version["number"]), _place(name, version["number"], "")),
        str(version["file_count"]), bytes_text(version["size_bytes"]), moment(version["created_at"]), made_by, note, act,
    ]  # fmt: skip


def _uses(reader: Reader, uses: list[Mapping[str, Any]]) -> None:
    say = reader.say
    with card(say(Volumes.USES)):
        if not uses:
            el("p", say(Volumes.NO_USES), "hint")
            return
        columns = (
            Column(say(Volumes.WORKLOAD), wide=True), Column(say(Volumes.STATE)), Column(say(Volumes.TARGET)),
            Column(say(Volumes.NUMBER), number=True), Column(say(Volumes.MODE)),
        )  # fmt: skip
        rows = [_use_row(reader, use) for use in uses]
        table(say(Volumes.USES), columns, rows)


def _use_row(reader: Reader, use: Mapping[str, Any]) -> list[Any]:
    return [
        lambda: link(use["workload_name"], local("workloads", use["workload_id"])),
        reader.say.named(Work.STATES, use["workload_state"]),
        use["target"],
        str(use["number"]),
        use["mode"],
    ]


async def _file(api: Api, name: str, path: str, version: int) -> Response:
    source = api.stream(f"/volumes{local(name)}/content", path=path, version=version)
    answer = await source.__aenter__()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_bytes(65_536):
                yield piece
        finally:
            await source.__aexit__(None, None, None)

    headers = attached(PurePosixPath(path).name)
    if "content-length" in answer.headers:
        headers["Content-Length"] = answer.headers["content-length"]
    return StreamingResponse(pieces(), media_type="application/octet-stream", headers=headers)


async def _upload(api: Api, request: Request, name: str, folder: str) -> Response:
    """One file becomes a new version; what comes of it is said on the page that it was sent from."""
    session = Session()
    try:
        told, bad = await _uploaded(api, session.say, request, name, folder)
    except ApiProblem as problem:
        told, bad = f"{problem.detail} {problem.remedy}".strip(), True
    session.remember("done", {"text": told, "bad": bad})
    return RedirectResponse(local("volumes", name) + (f"?path={local(folder)[1:]}" if folder else ""), 303)


async def _uploaded(api: Api, say: Speech, request: Request, name: str, folder: str) -> tuple[str, bool]:
    """What to say, and whether it went wrong; what is too big is for the command line."""
    async with request.form(max_files=1, max_fields=1) as given:
        file = given.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            return say(Volumes.UPLOAD_NOTHING), True
        title = PurePosixPath(file.filename).name
        data = await file.read(UPLOAD_BYTES_MAX + 1)
    if len(data) > UPLOAD_BYTES_MAX:
        where = f"{name}:{folder}" if folder else name
        return say(Volumes.UPLOAD_TOO_BIG, file=title, command=shlex.join(("zhisuan", "volumes", "put", title, where))), True
    digest = hashlib.sha256(data).hexdigest()
    await api.put_bytes(f"/content/{digest}", data)
    base = (await api.get(f"/volumes{local(name)}"))["current_number"]
    put = [{"path": f"{folder}/{title}".lstrip("/"), "size_bytes": len(data), "sha256": digest}]
    made = await api.post(f"/volumes{local(name)}/versions", {"base": base, "put": put})
    return say(Volumes.UPLOADED, file=title, number=made["number"]), False
