"""One site: whether it can be heard, how it isolates, and its devices with three kinds of speed side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.console.client import Json
from zhisuan.console.format import amount, count, du, memory, moment_zoned, percent, share_ppm, tflops, tflops_of_milli
from zhisuan.console.pages.site_accounts import account_card
from zhisuan.console.pages.site_links import links_card, places_card
from zhisuan.console.pages.site_proof import access_card, earnings_card, evidence_card, flags_notice, use_card
from zhisuan.console.pages.site_terms import ask_conditions, offer_card, place_text, tariff_text
from zhisuan.console.parts import (
    Column,
    bar,
    button,
    card,
    chip,
    dialog,
    dialog_actions,
    div,
    el,
    empty,
    facts,
    ident,
    link,
    local,
    notice,
    place,
    table,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import attempt, titled
from zhisuan.console.text_explained import Explained
from zhisuan.console.text_supply import Supply
from zhisuan.console.text_terms import Terms
from zhisuan.console.wording import reach_chip, site_chip

Found = Mapping[str, Any]
CLOCK_SHOWN_MS = 2000


async def build(reader: Reader, site_id: str) -> None:
    page = _Page(reader, await reader.api.get(f"/sites{local(site_id)}"))
    await page.load()
    titled(str(page.found["name"]), reader.say)
    page.build()


def isolation_chip(reader: Reader, found: Found) -> None:
    isolation = (found["engine"] or {}).get("isolation")
    if isolation is None:
        el("span", "–", "hint")
    else:
        chip(reader.say.named(Supply.ISOLATIONS, isolation), "bad" if isolation == "none" else "ok")


class _Page:
    def __init__(self, reader: Reader, found: Found) -> None:
        self.reader = reader
        self.found = found
        self.proof: Found = {"items": [], "verification": None}
        self.tokens: Found = {"items": []}
        self.earned: Found = {}
        self.links: Found = {"items": []}
        self.places: Found = {"items": []}
        self.accounts: Found = {}
        self.box = place()

    async def load(self) -> None:
        """What stands beside the site itself."""
        path = f"/sites{local(self.found['id'])}"
        self.proof = await self.reader.api.get(f"{path}/evidence")
        self.tokens = await self.reader.api.get(f"{path}/join-tokens", limit=10)
        self.earned = await self.reader.api.get(f"{path}/earnings")
        self.links = await self.reader.api.get(f"{path}/links")
        self.places = await self.reader.api.get(f"{path}/places")
        self.accounts = await self.reader.api.get(f"{path}/reconciliation")

    async def change(self, step: str, body: Json) -> bool:
        """Post to a step of this site and draw the page anew."""

        async def work() -> None:
            self.found = await self.reader.api.post(f"/sites{local(self.found['id'])}/{step}", body)
            await self.load()

        done = await attempt(work(), self.reader.say)
        if done:
            tell(self.reader.say(Supply.DONE))
            self.build()
        return done

    async def revoke_token(self, token_id: str) -> None:
        async def work() -> None:
            await self.reader.api.delete(f"/sites{local(self.found['id'])}/join-tokens{local(token_id)}")
            await self.load()

        if await attempt(work(), self.reader.say):
            self.build()

    def build(self) -> None:
        say, found = self.reader.say, self.found
        self.box.clear()
        with self.box:
            with div("page-head"):
                with div("crumbs"):
                    link(say(Supply.ALL), "/sites")
                with div("title-row"):
                    el("h1", found["name"])
                    site_chip(found["state"], say)
                    reach_chip(found, say)
                    ident(found["id"], say)
                    div("spacer")
                    self._actions()
            with div("columns even"):
                with div("column-main"):
                    self._facts()
                    offer_card(self.reader, found, self.change)
                with div("column-side"):
                    self._isolation()
                    access_card(self.reader, found, self.tokens, self.change, self.revoke_token)
            evidence_card(self.reader, self.proof, self.change)
            use_card(self.reader, found)
            self._nodes()
            links_card(self.reader, found, self.links)
            places_card(self.reader, self.places)
            earnings_card(self.reader, self.earned)
            account_card(self.reader, self.accounts)

    def _facts(self) -> None:
        say, found = self.reader.say, self.found
        with card():
            facts([
                (say(Supply.PROVIDER), found["provider"]["name"]),
                (say(Supply.REGION), f"{say.words(found['region_name'])} ({found['region']})"),
                (say(Terms.PLACE), place_text(found)),
                (say(Supply.PUE), decimal_text(int(found["pue_milli"]), 3, at_least=2)),
                (say(Terms.ELECTRICITY), tariff_text(found)),
                (say(Explained.GREEN), "–" if found.get("green_ppm") is None else percent(int(found["green_ppm"]))),
                (say(Supply.LEASES_RUNNING), count(int(found["leases_running"]))),
                (say(Supply.JOINED), moment_zoned(found["joined_at"])),
                (say(Supply.LAST_SEEN), moment_zoned(found["last_seen_at"])),
                *self._ways(),
            ])  # fmt: skip
            if self.reader.may("provider:site:write") and found["state"] != "closed":
                with div("dialog-actions"):
                    button(say(Terms.SET_CONDITIONS), lambda: ask_conditions(self.reader, found, self.change))

    def _ways(self) -> list[tuple[str, str]]:
        """How far away the site is, and how far its clock is off where that matters."""
        say, found = self.reader.say, self.found
        rows = []
        if found["round_trip_us"] is not None:
            rows.append((say(Terms.ROUND_TRIP), f"{decimal_text(int(found['round_trip_us']) // 100, 1)} ms"))
        offset = found["clock_offset_ms"]
        if offset is not None and abs(int(offset)) > CLOCK_SHOWN_MS:
            rows.append((say(Terms.CLOCK), f"{decimal_text(int(offset) // 100, 1)} s"))
        return rows

    def _isolation(self) -> None:
        say, engine = self.reader.say, self.found["engine"] or {}
        with card(say(Supply.ISOLATION)):
            if not engine:
                el("p", say(Supply.NO_NODES), "muted")
                return
            isolation_chip(self.reader, self.found)
            el("p", f"{say(Supply.ENGINE)}: {engine['engine']} {engine['version']}", "muted")
            el("p", say(Supply.WORKSPACES[engine.get("jupyterlab")]), "muted")
            if engine["isolation"] == "none":
                allowed = bool(engine.get("allow_unisolated"))
                notice("wait" if allowed else "bad", say(Supply.UNISOLATED_ALLOWED if allowed else Supply.UNISOLATED_REFUSED))
            problems = engine.get("problems") or []
            if not problems:
                el("p", say(Supply.NO_PROBLEMS), "hint")
                return
            el("h3", say(Supply.PROBLEMS))
            for problem in problems:
                notice("wait", *self._problem(problem))

    def _problem(self, problem: Found) -> tuple[str, Sequence[str]]:
        language = self.reader.say.language
        return str(problem[f"message_{language}"]), [str(problem[f"remedy_{language}"]), str(problem["code"])]

    def _nodes(self) -> None:
        say, nodes = self.reader.say, self.found["nodes"]
        with card(say(Supply.NODES)):
            if not nodes:
                empty(say(Supply.NO_NODES), say(Supply.NO_NODES_TEXT), say)
                return
            el("p", say(Supply.THREE), "hint")
            for node in nodes:
                with div("node"):
                    with div("title-row"):
                        el("h3", node["hostname"], "mono")
                        el("span", say(Supply.ARCHITECTURE, os=node["os"], architecture=node["architecture"]), "hint")
                        if not node["present"]:
                            chip(say(Supply.NODE_GONE), "wait")
                    self._devices(node)
                    for told in node["facts"].get("problems") or []:
                        notice("wait", say.words(told["what"]), [say.words(told["remedy"]), str(told["code"])])

    def _devices(self, node: Found) -> None:
        say = self.reader.say
        columns = (
            Column(say(Supply.DEVICE), wide=True), Column(say(Supply.CAPACITY)), Column(say(Supply.NOMINAL), number=True),
            Column(say(Supply.PUBLISHED), number=True), Column(say(Supply.MEASURED), number=True), Column(say(Supply.HEALTH)),
        )  # fmt: skip
        table(f"{node['hostname']}: {say(Supply.DEVICES)}", columns, [self._device_row(d) for d in node["devices"]])

    def _device_row(self, device: Found) -> list[Any]:
        say, kind = self.reader.say, str(device["kind"])

        def name() -> None:
            size = f" · {memory(int(device['memory_mib']))}" if device["memory_mib"] and kind == "accelerator" else ""
            with div("cell-stack"):
                el("span", device["name"], "strong")
                el("span", f"{say.named(Supply.KINDS, kind)}{size} · {device['class_id'] or device['key']}", "hint")

        def use() -> None:
            used, whole = int(device["allocated"]), int(device["capacity"])
            with div("cell-stack"):
                bar(share_ppm(used, whole), device["name"])
                el("span", say(Supply.USE, used=amount(kind, used), whole=amount(kind, whole)), "hint figure")

        def health() -> None:
            ok = device["health"] == "ok"
            with div("cell-stack"):
                chip(say.named(Supply.HEALTHS, device["health"]), "ok" if ok else "bad")
                if device["note"]:
                    el("span", device["note"], "hint")

        return [name, use, *(lambda s=s: s(device) for s in (self._nominal, self._published, self._measured)), health]

    def _nominal(self, device: Found) -> None:
        milli = device["nominal_tflops_milli"]
        self._speed(tflops_of_milli(int(milli)) if milli is not None else self._absent(device, Supply.UNKNOWN), Supply.NOMINAL_NOTE)

    def _published(self, device: Found) -> None:
        rate = device["published_rate_udu_per_hour"]
        self._speed(du(int(rate)) if rate is not None else self._absent(device, Supply.NO_RATE), Supply.PUBLISHED_NOTE)

    def _measured(self, device: Found) -> None:
        found = device["measured"]
        with div("cell-stack"):
            if not found:
                el("span", self._absent(device, Supply.NOT_MEASURED), "muted")
            for each in found:
                el("span", f"{each['precision']} {tflops(int(each['mflops']))}", "figure",
                   title=f"{each['method']} · {moment_zoned(each['at'])}")  # fmt: skip

    def _speed(self, text: str, note: Text) -> None:
        el("span", text, "figure", title=self.reader.say(note))

    def _absent(self, device: Found, text: Text) -> str:
        return "–" if device["kind"] == "memory" else self.reader.say(text)

    def _actions(self) -> None:
        reader, state = self.reader, self.found["state"]
        writer = reader.may("platform:site:write", "provider:site:write")
        if reader.may("platform:site:write") and state in ("joining", "verified"):
            self._action("verify", Supply.VERIFY, Supply.VERIFY_TEXT, "primary")
        elif writer and state in ("verified", "draining"):
            self._action("open", Supply.OPEN, Supply.OPEN_TEXT, "primary")
        if writer and state == "open":
            self._action("drain", Supply.DRAIN, Supply.DRAIN_TEXT, "plain")
        if writer and state == "draining":
            self._action("close", Supply.CLOSE, Supply.CLOSE_TEXT, "danger")
        if reader.may("provider:site:write") and state != "closed":
            button(reader.say(Supply.NEW_TOKEN), self._new_token)

    def _action(self, name: str, title: Text, text: Text, kind: Any) -> None:
        button(self.reader.say(title), lambda: self._ask(name, title, text, kind), kind)

    def _ask(self, name: str, title: Text, text: Text, kind: Any) -> None:
        say = self.reader.say
        with self.box, dialog(say(Supply.SURE, action=say(title), name=self.found["name"])) as box:
            el("p", say(text))
            if name == "verify":
                flags_notice(self.reader, self.proof)

            async def go() -> None:
                box.close()
                await self.change(name, {"accept": True} if name == "verify" else {})

            with dialog_actions():
                button(say(Supply.BACK), box.close)
                button(say(title), go, kind)
        box.open()

    async def _new_token(self) -> None:
        from zhisuan.console.pages.sites import show_join

        made: list[Json] = []

        async def work() -> None:
            made.append(await self.reader.api.post(f"/sites{local(self.found['id'])}/join-tokens"))

        if await attempt(work(), self.reader.say):
            await show_join(self.reader, made[0], local("sites", self.found["id"]))

