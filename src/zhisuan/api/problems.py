"""Errors as problem documents (RFC 9457), in the reader's language."""

import errno
import logging
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import errors as postgres
from sqlalchemy.exc import DataError, DBAPIError, InternalError, OperationalError
from starlette.exceptions import HTTPException

from zhisuan.base.errors import FieldProblem, InvalidInput, StorageFull, Unavailable, ZhisuanError
from zhisuan.base.text import Text

log = logging.getLogger(__name__)

_TEXT = {"type": "string"}
_WORDS = {"type": "object", "properties": {"detail": _TEXT, "remedy": _TEXT}, "required": ["detail", "remedy"]}
_PLACE = {"type": "object", "properties": {"where": _TEXT, "en": _TEXT, "zh": _TEXT}, "required": ["where", "en", "zh"]}
_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "properties": {
        "type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "code": _TEXT, "detail": _TEXT, "remedy": _TEXT,
        "zh": _WORDS, "problems": {"type": "array", "items": _PLACE}, "extra": {"type": "object"},
    },
    "required": ["type", "title", "status", "code", "detail", "remedy", "zh", "problems"],
}  # fmt: skip
_CONTENT = {"application/problem+json": {"schema": _SCHEMA}}
# What every route of the API may answer besides its own answer, for its OpenAPI document.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "A problem (RFC 9457): what happened and what to do, in both languages.",
        "content": _CONTENT,
    },
    "503": {"description": "A part that the request needs is away; try again.", "content": _CONTENT},
}
MEDIA_TYPE = "application/problem+json"
HTTP_PHRASES_ZH = {400: "请求格式错误", 404: "没有这个接口", 405: "该接口不支持此方法"}


def install(app: FastAPI) -> None:
    """Every error of the app, expected or not, answers as a problem document and never with a stack trace."""
    app.add_exception_handler(ZhisuanError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DataError, _bad_text)
    app.add_exception_handler(OperationalError, _database_away)
    app.add_exception_handler(InternalError, _database_read_only)
    # What goes past SQLAlchemy, such as COPY, raises the driver's own.
    app.add_exception_handler(psycopg.OperationalError, _database_away)
    app.add_exception_handler(psycopg.InternalError, _database_read_only)
    app.add_exception_handler(OSError, _disk)
    app.add_exception_handler(Exception, _unexpected)


def _language(request: Request) -> str:
    """The first of the reader's languages that we have, in the order the header gives them."""
    for each in request.headers.get("accept-language", "").lower().split(","):
        tag = each.partition(";")[0].strip()
        if tag.startswith(("zh", "en")):
            return tag
    return "en"


def _answer(request: Request, error: ZhisuanError) -> JSONResponse:
    headers = {"Retry-After": "2"} if error.status == 503 else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.as_problem(_language(request)), error.status, headers=headers, media_type=MEDIA_TYPE)


async def _expected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ZhisuanError)  # noqa: S101 - how the handler was registered
    return _answer(request, error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - how the handler was registered
    problems = [_field(item) for item in error.errors()]
    missing_key = any(
        item["type"] == "missing" and str(item["loc"][-1]).lower() == "idempotency-key" for item in error.errors()
    )
    return _answer(
        request,
        InvalidInput(
            Text("The request is not of the form this route takes.", "请求格式不符合接口要求。"),
            Text(
                "Send an Idempotency-Key header: any text that is new for each change."
                if missing_key
                else "Correct the fields named below; /api/v1/docs shows the form.",
                "请携带 Idempotency-Key 请求头：每次变更使用一个新的值。"
                if missing_key
                else "请按下列提示修改；接口格式见 /api/v1/docs。",
            ),
            code="idempotency_key_required" if missing_key else "invalid_input",
            problems=problems,
        ),
    )


def _field(item: dict[str, Any]) -> FieldProblem:
    if item["type"] == "json_invalid":
        return FieldProblem("body", Text(str(item["msg"]), "不是有效的 JSON"))
    place = [str(part) for part in item["loc"]]
    where = ".".join(place[1:] if place and place[0] == "body" and len(place) > 1 else place)
    return FieldProblem(where, Text(str(item["msg"]), f"格式不正确（{item['type']}）"))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - how the handler was registered
    phrase = HTTPStatus(error.status_code).phrase.lower()
    call = f"{request.method} {request.url.path}"
    what = Text(f"{call}: {phrase}.", f"{call}：{HTTP_PHRASES_ZH.get(error.status_code, phrase)}。")
    remedy = Text("See /api/v1/docs for the routes there are.", "可用接口见 /api/v1/docs。")
    body = ZhisuanError(what, remedy, code=f"http_{error.status_code}").as_problem(_language(request))
    body |= {"title": phrase, "status": error.status_code}
    return JSONResponse(body, error.status_code, headers=error.headers, media_type=MEDIA_TYPE)


async def _bad_text(request: Request, error: Exception) -> JSONResponse:
    log.info("the database refused a value: %s", type(error).__name__)
    return _answer(
        request,
        InvalidInput(
            Text(
                "A value cannot be stored: it is out of range or holds a character such as NUL.",
                "某个值无法保存：超出范围或含有非法字符。",
            ),
            Text("Correct the request.", "请修改后重试。"),
        ),
    )


async def _database_away(request: Request, error: Exception) -> JSONResponse:
    if isinstance(_of_driver(error), postgres.DiskFull):
        return _full(request, error)
    log.error("the database is away: %s", str(error).splitlines()[0])
    return _answer(
        request,
        Unavailable(
            Text("The database does not answer just now.", "数据库暂时无法访问。"),
            Text("Try again in a moment; nothing was changed.", "请稍后重试；本次请求未产生任何变更。"),
        ),
    )


def _of_driver(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


async def _database_read_only(request: Request, error: Exception) -> JSONResponse:
    """A standby that has not become the primary yet, or a database that its operator has closed for writing."""
    if not isinstance(_of_driver(error), postgres.ReadOnlySqlTransaction):
        return await _unexpected(request, error)
    log.error("the database takes no changes: %s", str(error).splitlines()[0])
    return _answer(
        request,
        Unavailable(
            Text("The database takes no changes just now.", "数据库当前为只读，无法写入。"),
            Text("Try again in a moment; nothing was changed.", "请稍后重试；本次请求未产生任何变更。"),
            code="database_read_only",
        ),
    )


async def _disk(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(request, error)
    return await _unexpected(request, error)


def _full(request: Request, error: Exception) -> JSONResponse:
    log.error("there is no room left: %s", str(error).splitlines()[0])
    return _answer(
        request,
        StorageFull(
            Text("The platform has no room left to keep this.", "平台存储空间不足，无法保存。"),
            Text(
                "Nothing was changed; try again later. Operator: free or add space for the database and the artefact store.",
                "本次请求未产生任何变更，请稍后重试。运营方：请为数据库和产物存储清理或扩充空间。",
            ),
        ),
    )


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.exception("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    return _answer(
        request,
        ZhisuanError(
            Text("Something went wrong in the platform.", "平台内部出现错误。"),
            Text(
                "Try again; if it stays, tell the operator the time and the route.",
                "请重试；若仍出现，请将时间和接口告知运营方。",
            ),
        ),
    )
