"""One workload: its state, output, placement, leases, cost and what it left."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from nicegui import background_tasks, ui

from zhisuan.base.text import Text
from zhisuan.console.client import Api, ApiAway, ApiProblem, Json
from zhisuan.console.format import (
    bytes_text,
    du,
    moment_zoned,
    percent,
    price,
)
from zhisuan.console.logview import LogView
from zhisuan.console.pages.placement import placement_card
from zhisuan.console.pages.workload_parts import artefacts_card, cost_card, leases_card, timeline_card
from zhisuan.console.pages.workload_shell import ShellCard
from zhisuan.console.parts import (
    bar,
    button,
    button_link,
    card,
    code_block,
    dialog,
    dialog_actions,
    div,
    el,
    facts,
    ident,
    link,
    live,
    live_button,
    local,
    place,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import attempt, titled
from zhisuan.console.text_work import Work
from zhisuan.console.tree import hold
from zhisuan.console.watching import Watch
from zhisuan.console.wording import OPEN_STATES, resources_text, workload_chip

Found = Mapping[str, Any]
COST_SECONDS = 10.0


async def build(reader: Reader, workload_id: str) -> None:
    page = _Page(reader, workload_id)
    await page.load()
    titled(str(page.found["name"]), reader.say)
    page.lay_out()
    await page.fill_all()
    if reader.may("org:workload:read"):
        page.follow()


class _Page:
    """The parts of the page that change while the workload runs."""

    def __init__(self, reader: Reader, workload_id: str) -> None:
        self.reader = reader
        self.path = "/workloads" + local(workload_id)
        self.found: Found = {}
        self.charges: tuple[list[Found], bool] = ([], True)
        self._progress: tuple[Any, ...] = ()

    async def load(self) -> None:
        self.found = await self.reader.api.get(self.path)

    def lay_out(self) -> None:
        say = self.reader.say
        with div("page-head"):
            with div("crumbs"):
                link(say(Work.TO_LIST), "/workloads")
            self.head = place("title-row")
        self.progress = place()
        with div("columns"):
            with div("column-main"):
                self._log_card()
                self.shell = ShellCard(self.reader, str(self.found["id"]))
                self.placement = place()
                self.leases = place()
                self.artefacts = place()
                with card(say(Work.FILE)):
                    code_block(str(self.found["file"]), say, say(Work.FILE))
            with div("column-side"):
                self.summary = place()
                self.cost = place()
                self.timeline = place()

    async def fill_all(self) -> None:
        """Build every part from what the platform says now."""
        reader, found = self.reader, self.found
        api = reader.api
        tasks = []
        tasks.append(("why", api.get(f"{self.path}/why")))
        if reader.may("org:workload:read"):
            tasks.append(("artefacts", api.get(f"{self.path}/artefacts", limit=200)))
        self.charges = await _charges(api, found["leases"])
        answers = dict(zip([n for n, _ in tasks], await asyncio.gather(*(t for _, t in tasks)), strict=True))
        why, artefacts = answers.get("why"), answers.get("artefacts")
        self._fill_head()
        self._fill_progress()
        self.shell.fill(str(found["state"]), str(found["kind"]))
        for part, make in (
            (self.summary, self._summary),
            (self.placement, lambda: placement_card(reader, found["placement"], why)),
            (self.leases, lambda: leases_card(reader, found["leases"])),
            (self.cost, lambda: cost_card(reader, self.charges)),
            (self.timeline, lambda: timeline_card(reader, found["events"])),
            (self.artefacts, lambda: artefacts_card(reader, found, artefacts)),
        ):
            part.clear()
            with part:
                make()

    def _fill_head(self) -> None:
        say, found = self.reader.say, self.found
        self.head.clear()
        with self.head:
            el("h1", found["name"])
            workload_chip(found["state"], say)
            ident(found["id"], say)
            div("spacer")
            if self.reader.may("org:trace:read", "platform:trace:read"):
                button_link(say(Work.TRACE), local("trace", found["id"]))
            if found["state"] in OPEN_STATES and self.reader.may("org:workload:write", "platform:workload:cancel"):
                button(say(Work.CANCEL), self._ask_cancel, "danger")
            self._resting_buttons()

    def _resting_buttons(self) -> None:
        if not self.reader.may("org:workload:write"):
            return
        say, state = self.reader.say, self.found["state"]
        if state in OPEN_STATES:
            button(say(Work.REST), lambda: self._ask("pause", Work.RESTING))
        if state == "paused":
            button(say(Work.GO_ON), lambda: self._ask("resume", Work.GOING_ON))
        if state in ("failed", "cancelled"):
            button(say(Work.RESTART), lambda: self._ask("restart", Work.RESTARTING))

    async def _ask(self, verb: str, told: Text) -> None:
        say = self.reader.say
        if await attempt(self.reader.api.post(f"{self.path}/{verb}"), say):
            tell(say(told))
            await self.load()
            await self.fill_all()

    def _fill_progress(self) -> None:
        found = self.found
        shown = (found["state"], found["progress_ppm"], found["progress_message"])
        if shown == self._progress:
            return
        self._progress = shown
        self.progress.clear()
        if found["progress_ppm"] is None:
            return
        with self.progress, div("progress"):
            bar(int(found["progress_ppm"]), self.reader.say(Work.PROGRESS))
            el("span", percent(int(found["progress_ppm"])), "figure strong")
            el("span", found["progress_message"] or "", "muted progress-message")

    def _summary(self) -> None:
        say, found = self.reader.say, self.found
        rows: list[tuple[str, Any]] = [
            (say(Work.KIND), say.named(Work.KINDS, found["kind"])),
            (say(Work.RESOURCES), resources_text(found["resources"], say)),
            (say(Work.RATE), du(int(found["rate_udu_per_hour"]))),
            (say(Work.PRICE), say(Work.PER_DU, price=price(int(found["price_e8_per_du"])))),
            (say(Work.CREATED), moment_zoned(found["created_at"])),
            (say(Work.STARTED), moment_zoned(found["started_at"])),
            (say(Work.ENDED), moment_zoned(found["ended_at"])),
            (say(Work.ATTEMPTS), str(found["attempts"])),
        ]
        if kept := found.get("checkpoint"):
            size = bytes_text(int(kept["size_bytes"]))
            rows.append((say(Work.CHECKPOINT), say(Work.CHECKPOINT_TOLD, number=kept["number"], files=kept["files"], size=size)))
        if found["exit_code"] is not None:
            rows.append((say(Work.EXIT_CODE), str(found["exit_code"])))
        if found["reason"]:
            rows.append((say(Work.REASON), say.named(Work.REASONS, found["reason"])))
        with card():
            if found["message"]:
                el("p", found["message"], "reason")
            facts(rows)

    def _log_card(self) -> None:
        say = self.reader.say
        with card(say(Work.LOG)) as head:
            if not self.reader.may("org:workload:read"):
                el("p", say(Work.LOG_NOT_YOURS), "muted")
                return
            with head:
                self.link_state = live("span", "", "note", aria_live="polite")
                div("spacer")
                button(say(Work.FOLLOW), lambda: self.log.follow(True), "small")
                self.pause_button = live_button(say(Work.PAUSE), self._pause, "small")
                link(say(Work.DOWNLOAD), self.path + "/log.txt", "button small", download="")
            self.log = hold(lambda: LogView(say(Work.LOG), say(Work.LOG_EMPTY), say(Work.LOG_CUT)))

    def follow(self) -> None:
        """Follow the platform's events for as long as somebody has this page open."""
        say = self.reader.say
        words = {"live": say(Work.LOG_LIVE), "lost": say(Work.LOG_LOST), "ended": say(Work.LOG_ENDED)}
        self.paused = False
        self.watch = Watch(
            self.reader.api, str(self.found["id"]), say(Work.LOG_CUT), self.log.append, self._state_changed,
            lambda name: self._tell_link(words[name]),
        )  # fmt: skip
        client = ui.context.client
        tasks: list[asyncio.Task[None]] = []

        def start() -> None:
            if not tasks:
                tasks.append(background_tasks.create(self._run(), name="watch"))

        client.on_connect(start)
        self.cost_timer = ui.timer(COST_SECONDS, self._look_at_cost)
        client.on_delete(lambda: [task.cancel() for task in tasks])

    def _tell_link(self, text: str) -> None:
        if not self.paused:
            self.link_state.set_text(text)

    async def _run(self) -> None:
        with self.head:
            await self.watch.run()

    async def _state_changed(self, workload: Json) -> None:
        """A new state of the workload: the bar moves; for another state everything is asked for anew."""
        moved = workload["state"] != self.found["state"]
        self.found = {**self.found, **workload}
        if not moved:
            self._fill_progress()
            return
        try:
            await self.load()
            await self.fill_all()
        except (ApiProblem, ApiAway):
            self._fill_head()

    async def _look_at_cost(self) -> None:
        """Charges come a while after the seconds they are for: look again until all seconds of the leases have theirs."""
        if self.found["state"] in OPEN_STATES:
            with contextlib.suppress(ApiProblem, ApiAway):
                await self.load()
        metered = sum(int(lease["seconds"]) for lease in self.found["leases"] if not lease["fault"])
        charged = sum(int(c["seconds"]) for c in self.charges[0])
        if self.found["state"] not in OPEN_STATES and charged >= metered:
            self.cost_timer.deactivate()
            return
        with contextlib.suppress(ApiProblem, ApiAway):
            self.charges = await _charges(self.reader.api, self.found["leases"])
            self.cost.clear()
            with self.cost:
                cost_card(self.reader, self.charges)

    def _pause(self) -> None:
        self.paused = not self.paused
        self.watch.pause(self.paused)
        say = self.reader.say
        self.pause_button.set_text(say(Work.RESUME if self.paused else Work.PAUSE))
        self.link_state.set_text(say(Work.LOG_PAUSED if self.paused else Work.LOG_LIVE))

    def _ask_cancel(self) -> None:
        say = self.reader.say
        with self.head, dialog(say(Work.CANCEL_TITLE, name=self.found["name"])) as box:
            el("p", say(Work.CANCEL_TEXT))

            async def go() -> None:
                box.close()
                if await attempt(self.reader.api.post(f"{self.path}/cancel"), say):
                    tell(say(Work.CANCELLED))
                    await self.load()
                    await self.fill_all()

            with dialog_actions():
                button(say(Work.KEEP), box.close)
                button(say(Work.CANCEL_YES), go, "danger")
        box.open()


CHARGE_PAGES_MAX = 5


async def _charges(api: Api, leases: list[Found]) -> tuple[list[Found], bool]:
    """The charges of all leases, and whether that is all of them."""
    found: list[Found] = []
    for lease in leases:
        cursor: str | None = None
        for _ in range(CHARGE_PAGES_MAX):
            page = await api.get("/charges", lease_id=str(lease["id"]), limit=200, cursor=cursor)
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        if cursor is not None:
            return found, False
    return found, True


