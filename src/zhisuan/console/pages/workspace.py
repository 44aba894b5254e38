"""One workspace: what it is and costs, the way into it, and a terminal."""

import contextlib
from collections.abc import Mapping
from typing import Any

from nicegui import ui

from zhisuan.console.client import ApiAway, ApiProblem
from zhisuan.console.format import du_unit, duration, yuan
from zhisuan.console.parts import (
    Tone,
    button,
    button_link,
    card,
    chip,
    command,
    dialog,
    dialog_actions,
    div,
    el,
    facts,
    ident,
    link,
    live,
    local,
    place,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import attempt
from zhisuan.console.terminal import Write, line_words, terminal
from zhisuan.console.text_work import Work
from zhisuan.console.text_workspaces import Space
from zhisuan.console.wording import resources_text
from zhisuan.sdk.terminal import Terminal

LOOK_SECONDS = 3.0
TERMINAL = "1"
TONES: dict[str, Tone] = {"waiting": "wait", "starting": "run", "ready": "ok", "ended": "off"}


async def build(reader: Reader, workload_id: str) -> None:
    page = _Page(reader, "/workspaces" + local(workload_id))
    await page.load()
    page.lay_out()
    page.fill()


class _Page:
    def __init__(self, reader: Reader, path: str) -> None:
        self.reader = reader
        self.path = path
        self.found: Mapping[str, Any] = {}
        self._shown: tuple[Any, ...] = ()
        self._terminal_for: str | None = None

    async def load(self) -> None:
        self.found = await self.reader.api.get(self.path)

    def lay_out(self) -> None:
        say = self.reader.say
        with div("page-head"):
            with div("crumbs"):
                link(say(Space.TO_LIST), "/workspaces")
            self.head = place("title-row")
        with div("columns"):
            with div("column-main"), card(say(Space.TERMINAL)) as head:
                with head:
                    self.line = live("span", "", "note", aria_live="polite")
                self.box = place("terminal-box")
            with div("column-side"):
                self.side = place()
                with card(say(Space.FROM_TERMINAL)):
                    command(f"zhisuan workspace shell {self.found['id']}", say)
        ui.timer(LOOK_SECONDS, self._look)

    async def _look(self) -> None:
        with contextlib.suppress(ApiProblem, ApiAway):
            await self.load()
            self.fill()

    def fill(self) -> None:
        found = self.found
        if (found["status"], found["state"]) != self._shown[:2]:
            self._fill_head()
            self._fill_box()
        shown = (found["status"], found["state"], found["seconds"], found["charged_udu"])
        if shown != self._shown:
            self._shown = shown
            self.side.clear()
            with self.side, card():
                self._facts()

    def _fill_head(self) -> None:
        say, found = self.reader.say, self.found
        self.head.clear()
        with self.head:
            el("h1", found["name"])
            chip(say.named(Space.STATES, found["status"]), TONES.get(found["status"], "off"))
            ident(found["id"], say)
            div("spacer")
            if not self.reader.may("org:workload:write"):
                return
            if found["session"] == "jupyter" and found["status"] == "ready":
                button_link(say(Space.OPEN), local("workspaces", found["id"], "open"), "primary", target="_blank", rel="noopener")
            if found["status"] != "ended":
                button(say(Space.STOP), self._ask_stop, "danger")

    def _facts(self) -> None:
        say, found = self.reader.say, self.found
        if found["message"]:
            el("p", found["message"], "reason")
        facts([
            (say(Space.SESSION), say.named(Space.SESSIONS, found["session"])),
            (say(Work.RESOURCES), resources_text(found["resources"], say)),
            (say(Space.SITE), found["site_name"] or "–"),
            (say(Space.HOUR), yuan(int(found["hour_ucny"]))),
            (say(Space.TIME), duration(int(found["seconds"]), say.language)),
            (say(Space.COST), du_unit(int(found["charged_udu"]))),
            (say(Space.CASH), yuan(int(found["cash_ucny"]))),
        ])  # fmt: skip
        with el("p", "", "hint"):
            link(say(Space.DETAILS), local("workloads", found["id"]))

    def _fill_box(self) -> None:
        say, status = self.reader.say, self.found["status"]
        if status == "ready" and self.reader.may("org:workload:write"):
            if self._terminal_for is None:
                self._terminal_for = str(self.found["id"])
                self.box.clear()
                with self.box:
                    self._open_terminal()
            return
        if self._terminal_for is None or status == "ended":
            self.box.clear()
            with self.box:
                el("p", say(Space.TERMINAL_ENDED if status == "ended" else Space.TERMINAL_WAITS), "muted")

    def _open_terminal(self) -> None:
        url = f"{self.found['gateway_url']}/workspaces/{self.found['id']}"

        def begin(write: Write) -> Terminal:
            return Terminal(url, self.reader.api.secret or "", TERMINAL, write, line_words(self.reader, self.line.set_text))

        terminal(self.reader, begin, self.line.set_text, self.reader.say(Space.SHELL_ENDED))

    def _ask_stop(self) -> None:
        say = self.reader.say
        with self.head, dialog(say(Space.STOP_TITLE, name=self.found["name"])) as box:
            el("p", say(Space.STOP_TEXT))

            async def go() -> None:
                box.close()
                if await attempt(self.reader.api.post(f"/workloads{local(str(self.found['id']))}/cancel"), say):
                    tell(say(Space.STOPPED))
                    await self._look()

            with dialog_actions():
                button(say(Space.KEEP), box.close)
                button(say(Space.STOP), go, "danger")
        box.open()
