"""Signing in, signing up, signing out. Forms go by plain HTTP posts, so that passwords never pass through page state."""

import contextlib
from urllib.parse import parse_qs, quote

from nicegui import App, Client
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from zhisuan.console.client import Api, ApiAway, ApiProblem, Connection, Json
from zhisuan.console.frame import frame
from zhisuan.console.parts import div, el, field, link, notice
from zhisuan.console.session import Session, renewed, safe_return, same_site
from zhisuan.console.show import console_page, no_such_page, titled
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame

FORM_BYTES_MAX = 16_384
ASSETS = ("/_nicegui", "/console-static")


def register(web: App, connection: Connection) -> None:
    @console_page("/sign-in")
    def sign_in(next: str = "/") -> Response | None:
        return _page_sign_in(safe_return(next))

    @console_page("/sign-up")
    def sign_up() -> None:
        _page_sign_up()

    @web.post("/sign-in", include_in_schema=False)
    async def enter(request: Request) -> Response:
        return await _enter(request, connection)

    @web.post("/sign-up", include_in_schema=False)
    async def join(request: Request) -> Response:
        return await _join(request, connection)

    @web.post("/sign-out", include_in_schema=False)
    async def leave(request: Request) -> Response:
        return await _leave(request, connection)

    @web.exception_handler(404)
    async def missing(request: Request, error: Exception) -> Response:
        if request.url.path.startswith(ASSETS):
            return PlainTextResponse("not found", 404)
        with Client(console_page(""), request=request) as client:
            no_such_page()
        return client.build_response(request, 404)


async def _fields(request: Request) -> dict[str, str]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES_MAX:
            return {}
    try:
        return {k: v[0] for k, v in parse_qs(body.decode(), keep_blank_values=True).items()}
    except UnicodeDecodeError:
        return {}


def _back(path: str, next_path: str) -> Response:
    return RedirectResponse(path if next_path == "/" else f"{path}?next={quote(next_path, safe='')}", 303)


async def _enter(request: Request, connection: Connection) -> Response:
    sent = await _fields(request)
    onward = safe_return(sent.get("next"))
    session = Session()
    if not same_site(request):
        return _foreign(session, onward)
    api = Api(connection, session.language)
    try:
        made = await api.post("/sessions", {"email": sent.get("email", ""), "password": sent.get("password", "")})
    except (ApiProblem, ApiAway) as error:
        _remember_refusal(session, error, {"email": sent.get("email", "")})
        return _back("/sign-in", onward)
    (await renewed(request)).begin(str(made["secret"]))
    return RedirectResponse(onward, 303)


async def _join(request: Request, connection: Connection) -> Response:
    sent = await _fields(request)
    session = Session()
    if not same_site(request):
        return _foreign(session, "/")
    asked: Json = {name: sent.get(name, "") for name in ("kind", "organisation", "name", "email", "password")}
    api = Api(connection, session.language)
    try:
        made = await api.post("/sign-up", {**asked, "language": session.language})
        entered = await api.post("/sessions", {"email": asked["email"], "password": asked["password"]})
    except (ApiProblem, ApiAway) as error:
        _remember_refusal(session, error, {k: str(v) for k, v in asked.items() if k != "password"})
        return RedirectResponse("/sign-up", 303)
    session = await renewed(request)
    session.begin(str(entered["secret"]))
    session.remember("key", {"secret": made["key"]["secret"]})
    return RedirectResponse("/", 303)


async def _leave(request: Request, connection: Connection) -> Response:
    session = Session()
    if not same_site(request):
        return _foreign(session, "/")
    say = session.say
    if session.secret:
        # Where the platform cannot be told, the session ends there when its hours are over; here it is forgotten at once.
        with contextlib.suppress(ApiProblem, ApiAway):
            await Api(connection, session.language, session.secret).delete("/sessions/current")
    (await renewed(request)).remember("notice", {"title": say(Frame.SIGNED_OUT), "text": ""})
    return RedirectResponse("/sign-in", 303)


def _foreign(session: Session, onward: str) -> Response:
    say = session.say
    session.remember("notice", {"title": say(Frame.FORM_FROM_ELSEWHERE), "text": say(Frame.SEND_AGAIN), "bad": True})
    return _back("/sign-in", onward)


def _remember_refusal(session: Session, error: ApiProblem | ApiAway, fields: dict[str, str]) -> None:
    say = session.say
    if isinstance(error, ApiProblem):
        words = {"title": error.detail, "text": " ".join([error.remedy, *error.field_lines(say)])}
    else:
        words = {"title": say(Frame.AWAY), "text": say(Frame.AWAY_TEXT)}
    session.remember("notice", {**words, "bad": True})
    session.remember("fields", fields)


def _page_sign_in(onward: str) -> Response | None:
    session = Session()
    say = session.say
    if session.secret:
        return RedirectResponse(onward, 303)
    titled(say(Frame.SIGN_IN), say)
    told, kept = session.once("notice"), session.once("fields")
    with frame(None, "entrance", say), div("entrance"):
        _pitch(say)
        with el("form", "", "card entrance-form", method="post", action="/sign-in"):
            el("h1", say(Frame.SIGN_IN))
            _told(told)
            el("input", type="hidden", name="next", value=onward)
            field("email", say(Frame.EMAIL), type="email", required=True, autocomplete="username", maxlength="254",
                  value=kept.get("email", ""), autofocus=True)  # fmt: skip
            field("password", say(Frame.PASSWORD), type="password", required=True, autocomplete="current-password")
            el("button", say(Frame.SIGN_IN), "button primary wide-button", type="submit")
            with el("p", "", "muted"):
                el("span", say(Frame.NO_ACCOUNT) + " ")
                link(say(Frame.SIGN_UP), "/sign-up")
            link(say(Frame.SEE_PRICES), "/catalog")
    return None


def _page_sign_up() -> None:
    session = Session()
    say = session.say
    titled(say(Frame.SIGN_UP), say)
    told, kept = session.once("notice"), session.once("fields")
    with frame(None, "entrance", say), div("entrance"):
        _pitch(say)
        with el("form", "", "card entrance-form", method="post", action="/sign-up"):
            el("h1", say(Frame.SIGN_UP))
            el("p", say(Frame.FREE_START), "muted")
            _told(told)
            _purpose(kept.get("kind", "tenant"), say)
            field("organisation", say(Frame.ORGANISATION), required=True, maxlength="100", autocomplete="organization",
                  value=kept.get("organisation", ""))  # fmt: skip
            field("name", say(Frame.YOUR_NAME), required=True, maxlength="100", autocomplete="name", value=kept.get("name", ""))
            field("email", say(Frame.EMAIL), type="email", required=True, autocomplete="username", maxlength="254",
                  value=kept.get("email", ""))  # fmt: skip
            field("password", say(Frame.PASSWORD), hint=say(Frame.PASSWORD_HINT), type="password", required=True,
                  autocomplete="new-password")  # fmt: skip
            el("button", say(Frame.SIGN_UP), "button primary wide-button", type="submit")
            with el("p", "", "muted"):
                el("span", say(Frame.HAVE_ACCOUNT) + " ")
                link(say(Frame.SIGN_IN), "/sign-in")


def _purpose(chosen: str, say: Speech) -> None:
    with el("fieldset", "", "radios"):
        el("legend", say(Frame.I_WANT), "field-label")
        for value, text in (("tenant", Frame.USE_COMPUTE), ("provider", Frame.BRING_COMPUTE)):
            with el("label", "", "radio"):
                el("input", type="radio", name="kind", value=value, checked=True if value == chosen else None)
                el("span", say(text))


def _told(told: dict[str, object]) -> None:
    if told:
        bad = bool(told.get("bad"))
        notice("bad" if bad else "run", str(told["title"]), [str(told["text"])], role="alert" if bad else "status")


def _pitch(say: Speech) -> None:
    with div("pitch"):
        el("p", say(Frame.TAGLINE), "pitch-line")
        el("p", say(Frame.PITCH), "pitch-text")
        for name, title, text in (
            ("network", Frame.PILLAR_NETWORK, Frame.PILLAR_NETWORK_TEXT),
            ("board", Frame.PILLAR_BOARD, Frame.PILLAR_BOARD_TEXT),
            ("account", Frame.PILLAR_ACCOUNT, Frame.PILLAR_ACCOUNT_TEXT),
        ):
            with div("pillar"):
                el("span", "", f"icon icon-{name}", aria_hidden="true")
                with div():
                    el("p", say(title), "pillar-title")
                    el("p", say(text), "muted")
