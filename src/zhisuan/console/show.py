"""How a page comes about: who reads, may they, what the platform answers, and what to say when it does not."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from zhisuan.base.text import Text
from zhisuan.console import text_frame as T
from zhisuan.console.client import Api, ApiAway, ApiProblem, Connection
from zhisuan.console.frame import frame
from zhisuan.console.parts import Node, button_link, div, notice, tell
from zhisuan.console.reader import Reader
from zhisuan.console.session import Session, safe_return
from zhisuan.console.speech import Speech

log = logging.getLogger(__name__)
RESPONSE_SECONDS = 20.0

Build = Callable[[Reader], Awaitable[None]]


class ConsolePage(ui.page):
    """A page whose language is the reader's."""

    def resolve_language(self) -> "ui.language.Language":  # type: ignore[name-defined]
        return "en-US" if Session().language == "en" else "zh-CN"


def console_page(path: str) -> ConsolePage:
    return ConsolePage(path, title="zhisuan", response_timeout=RESPONSE_SECONDS)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page is: its place in the menu, its title, and whom it is for."""

    here: str
    title: Text
    permissions: tuple[str, ...] = ()


def return_path(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return safe_return(request.url.path + query)


def to_sign_in(request: Request) -> Response:
    back = return_path(request)
    return RedirectResponse("/sign-in" if back == "/" else f"/sign-in?next={quote(back, safe='')}", 303)


def titled(name: str, say: Speech) -> None:
    ui.page_title(f"{name} · {say(T.PRODUCT)}")


async def show(request: Request, connection: Connection, asked: Asked, build: Build) -> Response | None:
    """Build a page for the person who is signed in; whoever is not is sent to sign in and comes back."""
    session = Session()
    say = session.say
    titled(say(asked.title), say)
    if session.secret is None:
        return to_sign_in(request)
    api = Api(connection, session.language, session.secret)
    try:
        reader = Reader.of(api, say, await api.get("/me"))
    except ApiProblem as problem:
        if problem.status == 401:
            session.end()
            session.remember("notice", {"title": say(T.SESSION_OVER), "text": say(T.SIGN_IN_AGAIN)})
            return to_sign_in(request)
        with frame(None, "", say):
            _refused(problem, say)
        return None
    except ApiAway:
        with frame(None, "", say):
            _away(request, say)
        return None
    with frame(reader, asked.here, say) as main:
        if asked.permissions and not reader.may(*asked.permissions):
            _forbidden(reader)
            return None
        content = div("content")
        with content:
            await _built(request, reader, build, content)
    main.update()
    return None


async def _built(request: Request, reader: Reader, build: Build, content: Node) -> None:
    try:
        await build(reader)
    except ApiProblem as problem:
        content.clear()
        _refused(problem, reader.say)
    except ApiAway:
        content.clear()
        _away(request, reader.say)
    except Exception:
        log.exception("the page %s could not be built", request.url.path)
        content.clear()
        _status(500)
        _centred("bad", reader.say(T.BROKEN), reader.say(T.BROKEN_TEXT), (reader.say(T.TO_OVERVIEW), "/"))


def _status(code: int) -> None:
    ui.context.client.status_code = code


def _centred(tone: str, title: str, text: str, action: tuple[str, str]) -> None:
    with div("centred"):
        with notice("bad" if tone == "bad" else "wait", title, [text], role="alert"):
            button_link(action[0], action[1], "primary")


def _refused(problem: ApiProblem, say: Speech) -> None:
    _status(problem.status if problem.status in (403, 404) else 502)
    _centred("wait", problem.detail, problem.remedy, (say(T.TO_OVERVIEW), "/"))


def _away(request: Request, say: Speech) -> None:
    _status(503)
    _centred("bad", say(T.AWAY), say(T.AWAY_TEXT), (say(T.TRY_AGAIN), return_path(request)))


def _forbidden(reader: Reader) -> None:
    _status(403)
    text = reader.say(T.FORBIDDEN_TEXT, role=reader.say.named(T.ROLES, reader.role))
    _centred("wait", reader.say(T.FORBIDDEN), text, (reader.say(T.TO_OVERVIEW), "/"))


def no_such_page() -> None:
    """The answer for an address that no page has."""
    session = Session()
    say = session.say
    titled(say(T.NOT_FOUND), say)
    with frame(None, "", say):
        _status(404)
        _centred("wait", say(T.NOT_FOUND), say(T.NOT_FOUND_TEXT), (say(T.TO_OVERVIEW), "/"))


async def attempt(work: Awaitable[object], say: Speech) -> bool:
    """Do what a button stands for; a refusal is told to the reader. Whether it was done."""
    try:
        await work
    except ApiProblem as problem:
        tell("\n".join([f"{problem.detail} {problem.remedy}".strip(), *problem.field_lines(say)]), bad=True)
        return False
    except ApiAway:
        tell(f"{say(T.AWAY)}. {say(T.TRY_AGAIN)}", bad=True)
        return False
    return True
