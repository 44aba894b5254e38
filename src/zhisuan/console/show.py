"""How a page comes about: who reads, may they, what the platform answers, and what to say when it does not."""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from zhisuan.base.text import Text
from zhisuan.console.client import Api, ApiAway, ApiProblem, Connection
from zhisuan.console.frame import frame
from zhisuan.console.parts import Live, Tone, button_link, div, notice, place, tell
from zhisuan.console.reader import Reader
from zhisuan.console.session import Session, safe_return
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame

log = logging.getLogger(__name__)
RESPONSE_SECONDS = 20.0

Build = Callable[[Reader], Awaitable[None]]
PublicBuild = Callable[[Api, Speech], Awaitable[None]]


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
    ui.page_title(f"{name} · {say(Frame.PRODUCT)}")


async def show(request: Request, connection: Connection, asked: Asked, build: Build) -> Response | None:
    """Build a page for the person who is signed in; whoever is not is sent to sign in and comes back."""
    session = Session()
    titled(session.say(asked.title), session.say)
    if session.secret is None:
        return to_sign_in(request)
    try:
        reader = await _reader(connection, session)
    except (ApiProblem, ApiAway) as error:
        return _without_reader(request, session, error)
    done = session.once("done")
    with frame(reader, asked.here, reader.say):
        if done:
            tell(str(done["text"]), bad=bool(done.get("bad")))
        content = place("content")
        with content:
            if asked.permissions and not reader.may(*asked.permissions):
                _forbidden(reader)
            else:
                await _built(request, reader.say, build(reader), content)
    return None


async def show_public(request: Request, connection: Connection, asked: Asked, build: PublicBuild) -> Response | None:
    """Build a page that everyone may see, in the frame of whoever is signed in."""
    session = Session()
    say = session.say
    titled(say(asked.title), say)
    reader = None
    if session.secret is not None:
        with contextlib.suppress(ApiProblem, ApiAway):
            reader = await _reader(connection, session)
    with frame(reader, asked.here, say):
        content = place("content")
        with content:
            await _built(request, say, build(Api(connection, session.language), say), content)
    return None


async def _reader(connection: Connection, session: Session) -> Reader:
    api = Api(connection, session.language, session.secret)
    return Reader.of(api, session.say, await api.get("/me"))


def _without_reader(request: Request, session: Session, error: ApiProblem | ApiAway) -> Response | None:
    """The platform would not say who reads: the session is over, or there is no platform."""
    say = session.say
    if isinstance(error, ApiProblem) and error.status == 401:
        session.end()
        session.remember("notice", {"title": say(Frame.SESSION_OVER), "text": say(Frame.SIGN_IN_AGAIN)})
        return to_sign_in(request)
    with frame(None, "", say):
        if isinstance(error, ApiProblem):
            _refused(error, say)
        else:
            _away(request, say)
    return None


async def _built(request: Request, say: Speech, building: Awaitable[None], content: Live) -> None:
    try:
        await building
    except ApiProblem as problem:
        content.clear()
        _refused(problem, say)
    except ApiAway:
        content.clear()
        _away(request, say)
    except Exception:
        log.exception("the page %s could not be built", request.url.path)
        content.clear()
        _status(500)
        _centred("bad", say(Frame.BROKEN), say(Frame.BROKEN_TEXT), (say(Frame.TO_OVERVIEW), "/"))


def _status(code: int) -> None:
    ui.context.client.status_code = code


def _centred(tone: Tone, title: str, text: str, action: tuple[str, str]) -> None:
    with div("centred"), notice(tone, title, [text], role="alert"):
        button_link(action[0], action[1], "primary")


def _refused(problem: ApiProblem, say: Speech) -> None:
    _status(problem.status if problem.status in (403, 404) else 502)
    _centred("wait", problem.detail, problem.remedy, (say(Frame.TO_OVERVIEW), "/"))


def _away(request: Request, say: Speech) -> None:
    _status(503)
    _centred("bad", say(Frame.AWAY), say(Frame.AWAY_TEXT), (say(Frame.TRY_AGAIN), return_path(request)))


def _forbidden(reader: Reader) -> None:
    _status(403)
    text = reader.say(Frame.FORBIDDEN_TEXT, role=reader.say.named(Frame.ROLES, reader.role))
    _centred("wait", reader.say(Frame.FORBIDDEN), text, (reader.say(Frame.TO_OVERVIEW), "/"))


def no_such_page() -> None:
    """The answer for an address that no page has."""
    session = Session()
    say = session.say
    titled(say(Frame.NOT_FOUND), say)
    with frame(None, "", say):
        _status(404)
        _centred("wait", say(Frame.NOT_FOUND), say(Frame.NOT_FOUND_TEXT), (say(Frame.TO_OVERVIEW), "/"))


def done_and_again(text: str) -> None:
    """Load the page again, as it is after a change, and say there what was done."""
    Session().remember("done", {"text": text})
    ui.navigate.reload()


async def attempt(work: Awaitable[object], say: Speech) -> bool:
    """Do what a button stands for; a refusal is told to the reader. Whether it was done."""
    try:
        await work
    except ApiProblem as problem:
        tell("\n".join([f"{problem.detail} {problem.remedy}".strip(), *problem.field_lines(say)]), bad=True)
        return False
    except ApiAway:
        tell(f"{say(Frame.AWAY)}. {say(Frame.TRY_AGAIN)}", bad=True)
        return False
    return True
