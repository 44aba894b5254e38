"""The small parts that pages are made of. Text always goes in as text, never as markup."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from zhisuan.console.format import percent, short_id
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame

Tone = Literal["ok", "run", "wait", "bad", "off"]
Kind = Literal["primary", "plain", "danger", "small"]
Cell = str | Callable[[], Any]


class Node(TextElement):
    """One HTML element with attributes and text."""

    def __init__(self, tag: str, text: str = "", classes: str = "", attributes: dict[str, Any] | None = None) -> None:
        super().__init__(tag=tag, text=text)
        self._classes[:] = classes.split()
        if attributes:
            self._props.update(attributes)


def el(tag: str, text: object = "", classes: str = "", **attributes: Any) -> Node:
    """An element; ``aria_label="…"`` becomes ``aria-label``, ``for_`` becomes ``for``; None leaves an attribute out."""
    given = {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items() if v is not None}
    if tag == "input" and "value" in given:
        # As a property it would be written again with every change of the page, over what the reader has typed.
        given["^value"] = given.pop("value")
    return Node(tag, str(text), classes, given)


def div(classes: str = "", **attributes: Any) -> Node:
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


def link(text: object, href: str, classes: str = "", **attributes: Any) -> Node:
    return el("a", text, classes, href=href, **attributes)


def icon(name: str) -> Node:
    return el("span", "", f"icon icon-{name}", aria_hidden="true")


def button(text: str, on_click: Callable[..., Any] | None = None, kind: Kind = "plain", **attributes: Any) -> Node:
    made = el("button", text, f"button {kind}", **{"type": "button", **attributes})
    if on_click is not None:
        made.on("click", on_click, args=[])
    return made


def button_link(text: str, href: str, kind: Kind = "plain", **attributes: Any) -> Node:
    return link(text, href, f"button {kind}", **attributes)


def chip(text: str, tone: Tone) -> Node:
    """A state: a coloured dot and the word, so that colour is never the only sign."""
    return el("span", text, f"chip tone-{tone}")


def copy_button(value: str, label: str) -> Node:
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
def card(title: str = "", *, note: str = "", classes: str = "") -> Iterator[Node]:
    """A titled part of a page. Gives its head, for actions at its right."""
    with el("section", "", f"card {classes}"):
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


def bar(part_ppm: int, label: str, classes: str = "") -> None:
    """How much of a whole: a bar that says so to readers of the screen too."""
    with div(
        f"bar {classes}", role="progressbar", aria_label=label, aria_valuemin="0", aria_valuemax="100",
        aria_valuenow=str(part_ppm // 10_000), aria_valuetext=percent(part_ppm),
    ):  # fmt: skip
        div("bar-fill").style(f"width:{part_ppm // 10_000}.{part_ppm % 10_000:04}%")


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


def table(label: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Node:
    """A table that turns into a list of cards on a narrow screen. Gives its body, for rows that come later."""
    with div("table-box", tabindex="0", role="region", aria_label=label), el("table", "", "table"):
        el("caption", label, "unseen")
        with el("thead"), el("tr"):
            for column in columns:
                el("th", column.title, "number" if column.number else "", scope="col")
        body = el("tbody")
    with body:
        for row in rows:
            table_row(columns, row)
    return body


def table_row(columns: Sequence[Column], cells: Sequence[Cell]) -> Node:
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


def notice(tone: Tone, title: str, lines: Sequence[str] = (), *, role: str = "status") -> Node:
    """A box that says something; gives it, for parts to be added."""
    box = div(f"notice tone-{tone}", role=role)
    with box:
        el("p", title, "notice-title")
        for line in lines:
            if line:
                el("p", line)
    return box


@contextmanager
def form(on_submit: Callable[[dict[str, str]], Any], classes: str = "") -> Iterator[Node]:
    """A form whose fields arrive together, as text by name, when it is sent."""
    made = el("form", "", f"form {classes}", autocomplete="off")
    made.on(
        "submit",
        lambda event: on_submit({str(k): str(v) for k, v in event.args.items()}),
        js_handler="(e) => { e.preventDefault(); emit(Object.fromEntries(new FormData(e.target))); }",
    )
    with made:
        yield made


def field(name: str, label: str, *, hint: str = "", tag: str = "input", text: str = "", **attributes: Any) -> Node:
    """A labelled field; ``text`` is what a textarea starts with."""
    with el("label", "", "field"):
        el("span", label, "field-label")
        made = el(tag, text, "input", name=name, **attributes)
        if hint:
            el("span", hint, "hint")
    return made


def choice(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str = "", **attributes: Any) -> Node:
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
def dialog(title: str) -> Iterator[tuple[ui.dialog, Element]]:
    """A box over the page with a title; gives the box and the row for its buttons, which stands last."""
    with ui.dialog() as box, el("div", "", "dialog", role="document"):
        el("h2", title)
        body = div("dialog-body")
        actions = div("dialog-actions")
        with body:
            yield box, actions
