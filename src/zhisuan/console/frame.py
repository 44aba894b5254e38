"""The frame around a page: who is here, where one can go, the language."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nicegui import ui

from zhisuan.base.text import Text
from zhisuan.console.parts import button, button_link, div, el, icon, link
from zhisuan.console.reader import Reader
from zhisuan.console.session import Session
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_quotas import Quotas
from zhisuan.console.text_volumes import Volumes
from zhisuan.console.tree import Plain


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the menu, for readers who hold one of ``permissions``."""

    name: str
    href: str
    permissions: tuple[str, ...]
    title: Callable[[Reader], Text]


def _bill_title(reader: Reader) -> Text:
    return {"provider": Frame.EARNINGS, "operator": Frame.ACCOUNTS, "city": Frame.CARBON}.get(reader.kind, Frame.BILL)


BILL_READERS = ("org:bill:read", "platform:bill:read", "provider:earning:read", "city:carbon:read")
PLACES = (
    Place("overview", "/", (), lambda _: Frame.OVERVIEW),
    Place("workloads", "/workloads", ("org:workload:read", "platform:workload:read"), lambda _: Frame.WORKLOADS),
    Place("workspaces", "/workspaces", ("org:workload:read", "platform:workload:read"), lambda _: Frame.WORKSPACES),
    Place("models", "/models", ("org:model:read",), lambda _: Frame.MODELS),
    Place("volumes", "/volumes", ("org:volume:read",), lambda _: Volumes.TITLE),
    Place("quotas", "/quotas", ("org:quota:read", "platform:quota:read"), lambda _: Quotas.TITLE),
    Place("sites", "/sites", ("platform:site:read", "provider:site:read"), lambda _: Frame.SITES),
    Place("bill", "/bill", BILL_READERS, _bill_title),
    Place("catalog", "/catalog", (), lambda _: Frame.CATALOG),
)


@contextmanager
def frame(reader: Reader | None, here: str, say: Speech) -> Iterator[Plain]:
    """The page's frame; what is built inside goes to its main part. ``reader`` None: nobody is signed in."""
    with div("shell" if reader else "shell open"):
        link(say(Frame.SKIP), "#main", "skip")
        _header(reader, here, say)
        if reader:
            _menu(reader, here)
        with el("main", "", "main", id="main", tabindex="-1") as main:
            yield main
            with el("footer", "", "foot"):
                el("span", say(Frame.TIMES_ZONE))


def _header(reader: Reader | None, here: str, say: Speech) -> None:
    with el("header", "", "top"):
        if reader:
            el("button", "", "menu-button", type="button", aria_label=say(Frame.MENU), data_menu="1", aria_expanded="false")
        with link("", "/" if reader else "/sign-in", "brand", aria_label=say(Frame.PRODUCT)):
            div("brand-mark", aria_hidden="true")
            el("span", say(Frame.PRODUCT), "brand-name")
        if reader:
            with div("who"):
                el("span", reader.organisation, "who-org", title=reader.organisation)
                el("span", say.named(Frame.KINDS, reader.kind), "who-kind")
        div("spacer")
        if reader and reader.may("org:trace:read", "platform:trace:read"):
            with el("form", "", "trace-search", action="/trace", method="get", role="search"):
                el("input", name="id", placeholder=say(Frame.TRACE_ANY), aria_label=say(Frame.TRACE_ANY), maxlength="80")
        button(say(Frame.OTHER_LANGUAGE), _switch_language, "small", aria_label=say(Frame.SWITCH_LANGUAGE))
        if reader is None and here != "entrance":
            button_link(say(Frame.SIGN_IN), "/sign-in", "small")
        if reader:
            with div("person"):
                el("span", reader.person, "person-name", title=reader.person)
                el("span", say.named(Frame.ROLES, reader.role), "person-role")
            with el("form", "", "sign-out", action="/sign-out", method="post"):
                el("button", say(Frame.SIGN_OUT), "button small", type="submit")


def _switch_language() -> None:
    session = Session()
    session.language = "en" if session.language == "zh" else "zh"
    ui.navigate.reload()


def _menu(reader: Reader, here: str) -> None:
    with el("nav", "", "menu", aria_label=reader.say(Frame.MAIN_MENU)):
        for place in PLACES:
            if place.permissions and not reader.may(*place.permissions):
                continue
            with link("", place.href, "menu-item", aria_current="page" if place.name == here else None):
                icon(place.name)
                el("span", reader.say(place.title(reader)))
