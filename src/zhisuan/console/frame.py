"""The frame around a page: who is here, where one can go, the language."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nicegui import ui

from zhisuan.base.text import Text
from zhisuan.console import text_frame as T
from zhisuan.console.parts import Node, button, div, el, icon, link
from zhisuan.console.reader import Reader
from zhisuan.console.session import Session
from zhisuan.console.speech import Speech


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the menu, for readers who hold one of ``permissions``."""

    name: str
    href: str
    permissions: tuple[str, ...]
    title: Callable[[Reader], Text]


def _bill_title(reader: Reader) -> Text:
    return {"provider": T.EARNINGS, "operator": T.ACCOUNTS, "city": T.CARBON}.get(reader.kind, T.BILL)


BILL_READERS = ("org:bill:read", "platform:bill:read", "provider:earning:read", "city:carbon:read")
PLACES = (
    Place("overview", "/", (), lambda _: T.OVERVIEW),
    Place("workloads", "/workloads", ("org:workload:read", "platform:workload:read"), lambda _: T.WORKLOADS),
    Place("models", "/models", ("org:model:read",), lambda _: T.MODELS),
    Place("sites", "/sites", ("platform:site:read", "provider:site:read"), lambda _: T.SITES),
    Place("bill", "/bill", BILL_READERS, _bill_title),
    Place("catalog", "/catalog", (), lambda _: T.CATALOG),
)


@contextmanager
def frame(reader: Reader | None, here: str, say: Speech) -> Iterator[Node]:
    """The page's frame; what is built inside goes to its main part. ``reader`` None: nobody is signed in."""
    with div("shell" if reader else "shell open"):
        link(say(T.SKIP), "#main", "skip")
        _header(reader, say)
        if reader:
            _menu(reader, here)
        with el("main", "", "main", id="main", tabindex="-1") as main:
            yield main
            with el("footer", "", "foot"):
                el("span", say(T.TIMES_ZONE))


def _header(reader: Reader | None, say: Speech) -> None:
    with el("header", "", "top"):
        if reader:
            el("button", "", "menu-button", type="button", aria_label=say(T.MENU), data_menu="1", aria_expanded="false")
        with link("", "/" if reader else "/sign-in", "brand", aria_label=say(T.PRODUCT)):
            div("brand-mark", aria_hidden="true")
            el("span", say(T.PRODUCT), "brand-name")
        if reader:
            with div("who"):
                el("span", reader.organisation, "who-org", title=reader.organisation)
                el("span", say.named(T.KINDS, reader.kind), "who-kind")
        div("spacer")
        if reader and reader.may("org:trace:read", "platform:trace:read"):
            with el("form", "", "trace-search", action="/trace", method="get", role="search"):
                el("input", name="id", placeholder=say(T.TRACE_ANY), aria_label=say(T.TRACE_ANY), maxlength="80")
        button(say(T.OTHER_LANGUAGE), _switch_language, "small", aria_label=say(T.SWITCH_LANGUAGE))
        if reader:
            with div("person"):
                el("span", reader.person, "person-name", title=reader.person)
                el("span", say.named(T.ROLES, reader.role), "person-role")
            with el("form", "", "sign-out", action="/sign-out", method="post"):
                el("button", say(T.SIGN_OUT), "button small", type="submit")


def _switch_language() -> None:
    session = Session()
    session.language = "en" if session.language == "zh" else "zh"
    ui.navigate.reload()


def _menu(reader: Reader, here: str) -> None:
    with el("nav", "", "menu", aria_label=reader.say(T.MAIN_MENU)):
        for place in PLACES:
            if place.permissions and not reader.may(*place.permissions):
                continue
            with link("", place.href, "menu-item", aria_current="page" if place.name == here else None):
                icon(place.name)
                el("span", reader.say(place.title(reader)))
