"""The small parts that pages are made of. Text always goes in as text, never as markup."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from zhisuan.console.format import percent, short_id
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame
from zhisuan.console.tree import Handler, Plain, hold

Tone = Literal["ok", "run", "wait", "bad", "off"]
Kind = Literal["primary", "plain", "danger", "small"]
Cell = str | Callable[[], Any]


class Live(TextElement):
    """One element whose text or presence may change while the page is open."""

    def __init__(self, tag: str, text: str, classes: str, attributes: dict[str, Any]) -> None:
        super().__init__(tag=tag, text=text)
        self._classes[:] = classes.split()
        if attributes:
            self._props.update(attributes)


def _given(tag: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """``aria_label`` becomes ``aria-label``, ``for_`` becomes ``for``; None leaves an attribute out."""
    given = {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items() if v is not None}
    if tag == "input" and "value" in given:
        # As a property it would be written again with every change of the page, over what the reader has typed.
        given["^value"] = given.pop("value")
    return given


def el(tag: str, text: object = "", classes: str = "", **attributes: Any) -> Plain:
    """An element. Its text is text and never markup; None leaves an attribute out."""
    return _acting(tag, text, classes, {}, attributes)


def _acting(tag: str, text: object, classes: str, actions: dict[str, Handler], attributes: dict[str, Any]) -> Plain:
    given = _given(tag, attributes)
    if classes:
        given["class"] = classes
    return Plain(tag, str(text), given, actions)


def live(tag: str, text: object = "", classes: str = "", **attributes: Any) -> Live:
    """An element whose text may change later."""
    return hold(lambda: Live(tag, str(text), classes, _given(tag, attributes)))


def place(classes: str = "", **attributes: Any) -> Live:
    """A part of the page that is emptied and filled again."""
    return live("div", "", classes, **attributes)


def div(classes: str = "", **attributes: Any) -> Plain:
    return el("div", "", classes, **attributes)


def fill(cell: Cell) -> None:
    """Put a cell's text or parts into the element that is open now."""
    if callable(cell):
        cell()
    else:
        el("span", cell)


def local(*steps: str) -> str:
    """The path of a page, each step quoted: an id can never become a path or a scheme."""
    return "/" + "/".join(quote(step, safe="") for step in steps)


def link(text: object, href: str, classes: str = "", **attributes: Any) -> Plain:
    return el("a", text, classes, href=href, **attributes)


def icon(name: str) -> Plain:
    return el("span", "", f"icon icon-{name}", aria_hidden="true")


def button(text: str, on_click: Callable[[], Any], kind: Kind = "plain", **attributes: Any) -> Plain:
    return _acting("button", text, f"button {kind}", {"click": lambda _: on_click()}, {"type": "button", **attributes})


def live_button(text: str, on_click: Callable[[], Any], kind: Kind = "plain") -> Live:
    """A button whose text changes or that goes away."""
    made = live("button", text, f"button {kind}", type="button")
    made.on("click", lambda _: on_click(), args=[])
    return made


def button_link(text: str, href: str, kind: Kind = "plain", **attributes: Any) -> Plain:
    return link(text, href, f"button {kind}", **attributes)


def chip(text: str, tone: Tone) -> Plain:
    """A state: a coloured dot and the word, so that colour is never the only sign."""
    return el("span", text, f"chip tone-{tone}")


def copy_button(value: str, label: str) -> Plain:
    return el("button", "", "copy", type="button", data_copy=value, aria_label=label, title=label)


def ident(value: str, say: Speech, *, href: str | None = None) -> None:
    """A long id: its end, the whole as tooltip, and a button that copies it."""
    with el("span", "", "ident"):
        if href:
            link(short_id(value), href, "mono", title=value)
        else:
            el("span", short_id(value), "mono", title=value)
        copy_button(value, say(Frame.COPY_ID, id=value))


def command(line: str, say: Speech) -> None:
    """A line for the terminal, with a button that copies it."""
    with div("command"):
        el("code", line)
        copy_button(line, say(Frame.COPY_COMMAND))


def code_block(text: str, say: Speech, label: str) -> None:
    with div("code-block"):
        el("pre", text, "code", tabindex="0", aria_label=label, role="region")
        copy_button(text, say(Frame.COPY))


@contextmanager
def card(title: str = "", *, note: str = "", **attributes: Any) -> Iterator[Plain]:
    """A titled part of a page. Gives its head, for actions at its right."""
    with el("section", "", "card", **attributes):
        head = div("card-head")
        if title:
            with head:
                el("h2", title)
                if note:
                    el("span", note, "note")
        yield head


def stat(label: str, value: str, note: str = "", *, title: str = "", href: str = "", tone: str = "") -> None:
    """One figure with its name."""
    with el("a" if href else "div", "", f"stat {tone}", href=href or None):
        el("span", label, "stat-label")
        figure, _, unit = value.partition(" ")
        with el("span", figure, "stat-value", title=title or None):
            if unit:
                el("span", f" {unit}", "stat-unit")
        if note:
            el("span", note, "stat-note")


def width(part_ppm: int) -> str:
    """The style of a part that is so much of its whole."""
    return f"width:{part_ppm // 10_000}.{part_ppm % 10_000:04}%"


def bar(part_ppm: int, label: str, classes: str = "") -> None:
    """How much of a whole: a bar that says so to readers of the screen too."""
    with div(
        f"bar {classes}", role="progressbar", aria_label=label, aria_valuemin="0", aria_valuemax="100",
        aria_valuenow=str(part_ppm // 10_000), aria_valuetext=percent(part_ppm),
    ):  # fmt: skip
        div("bar-fill", style=width(part_ppm))


def facts(rows: Sequence[tuple[str, Cell]]) -> None:
    """Names and values."""
    with el("dl", "", "facts"):
        for name, value in rows:
            with div("fact"):
                el("dt", name)
                with el("dd"):
                    fill(value)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; ``number`` is set to the right in figures of one width."""

    title: str
    number: bool = False
    wide: bool = False


def table(label: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    """A table that turns into a list of cards on a narrow screen."""
    with _table(label, columns), el("tbody"):
        for row in rows:
            table_row(columns, row)


def growing_table(label: str, columns: Sequence[Column]) -> Live:
    """A table that gets its rows later. Gives its body."""
    with _table(label, columns):
        return live("tbody")


@contextmanager
def _table(label: str, columns: Sequence[Column]) -> Iterator[None]:
    with div("table-box", tabindex="0", role="region", aria_label=label), el("table", "", "table"):
        el("caption", label, "unseen")
        with el("thead"), el("tr"):
            for column in columns:
                el("th", column.title, "number" if column.number else "", scope="col")
        yield


def table_row(columns: Sequence[Column], cells: Sequence[Cell]) -> Plain:
    row = el("tr")
    with row:
        for column, cell in zip(columns, cells, strict=True):
            classes = " ".join(c for c, on in (("number", column.number), ("wide", column.wide)) if on)
            if callable(cell):
                with el("td", "", classes, data_label=column.title):
                    cell()
            else:
                el("td", cell, classes, data_label=column.title)
    return row


def empty(title: str, text: str, say: Speech, *, line: str = "", action: tuple[str, str] | None = None) -> None:
    """What a place without anything says: why it is empty and what to do next."""
    with div("empty"):
        el("p", title, "empty-title")
        if text:
            el("p", text, "muted")
        if line:
            command(line, say)
        if action:
            button_link(action[0], action[1], "primary")


def notice(tone: Tone, title: str, lines: Sequence[str] = (), *, role: str = "status") -> Plain:
    """A box that says something; gives it, for parts to be added."""
    box = div(f"notice tone-{tone}", role=role)
    with box:
        el("p", title, "notice-title")
        for line in lines:
            if line:
                el("p", line)
    return box


def form(on_submit: Handler, classes: str = "", *, reset: bool = False) -> Plain:
    """A form whose fields arrive together, as text by name, when it is sent; ``reset`` empties it then."""
    attributes = {"autocomplete": "off", "data_reset": "" if reset else None}
    return _acting("form", "", f"form {classes}", {"submit": on_submit}, attributes)


def field(name: str, label: str, *, hint: str = "", tag: str = "input", text: str = "", **attributes: Any) -> Plain:
    """A labelled field; ``text`` is what a textarea starts with."""
    with el("label", "", "field"):
        el("span", label, "field-label")
        made = el(tag, text, "input", name=name, **attributes)
        if hint:
            el("span", hint, "hint")
    return made


def choice(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str = "", **attributes: Any) -> Plain:
    """A labelled choice among (value, text)."""
    with el("label", "", "field"):
        el("span", label, "field-label")
        made = el("select", "", "input", name=name, **attributes)
        with made:
            for value, text in options:
                el("option", text, value=value, selected=True if value == chosen else None)
    return made


def tell(text: str, *, bad: bool = False) -> None:
    """A short word at the edge of the page."""
    ui.notify(text, type="negative" if bad else "positive", position="top", timeout=5000, close_button="✕")


@contextmanager
def dialog(title: str) -> Iterator[ui.dialog]:
    """A box over the page with a title."""
    with hold(ui.dialog) as box, div("dialog", role="document"):
        el("h2", title)
        with div("dialog-body"):
            yield box


def dialog_actions() -> Plain:
    """The row for the buttons of a box, its last part."""
    return div("dialog-actions")
