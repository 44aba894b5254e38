"""Parts of a workload's page: time line, leases, cost, artefacts."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from zhisuan.console import text_frame as F
from zhisuan.console import text_money as M
from zhisuan.console import text_work as T
from zhisuan.console.format import ZONE, bytes_text, count, du, du_unit, duration, moment, yuan
from zhisuan.console.parts import Column, button, card, dialog, div, el, facts, field, form, ident, link, local, table
from zhisuan.console.reader import Reader
from zhisuan.console.show import attempt
from zhisuan.console.wording import WORKLOAD_TONES, lease_chip

Found = Mapping[str, Any]


def timeline_card(reader: Reader, events: Sequence[Found]) -> None:
    """Every change of state with its time, cause and who made it."""
    say = reader.say
    with card(say(T.TIMELINE), note=ZONE), el("ol", "", "timeline"):
        for event in sorted(events, key=lambda e: int(e["number"])):
            with el("li", "", f"tone-{WORKLOAD_TONES.get(event['state'], 'off')}"):
                el("span", say.named(T.STATES, event["state"]), "strong")
                el("span", moment(event["at"]), "hint figure")
                if event["cause"]:
                    el("span", event["cause"], "muted")
                el("span", say(T.BY, actor=event["actor"]), "hint")


def leases_card(reader: Reader, leases: Sequence[Found]) -> None:
    say = reader.say
    with card(say(T.LEASES)):
        if not leases:
            el("p", say(T.NO_LEASES), "muted")
            return
        columns = (
            Column(say(T.LEASE)), Column(say(T.STATE)), Column(say(T.SITE), wide=True),
            Column(f"{say(T.ACTIVE_FROM)} ({ZONE})", number=True), Column(say(T.SECONDS), number=True),
            Column(say(T.RATE), number=True),
        )  # fmt: skip
        table(say(T.LEASES), columns, [_lease_row(reader, lease) for lease in leases])


def _lease_row(reader: Reader, lease: Found) -> list[Any]:
    say = reader.say
    traced = reader.may("org:trace:read", "platform:trace:read")

    def name() -> None:
        with div("cell-stack"):
            ident(lease["id"], say, href=local("trace", lease["id"]) if traced else None)
            el("span", f"{say(T.GENERATION)} {lease['generation']}", "hint")

    def state() -> None:
        with div("cell-stack"):
            lease_chip(lease["state"], say)
            if lease["ready"] is not None and lease["state"] == "active":
                el("span", say(T.READY if lease["ready"] else T.NOT_READY), "hint")
            if lease["fault"]:
                el("span", say(T.FAULT, who=say.named(T.FAULTS, lease["fault"])), "hint")
            if lease["message"]:
                el("span", lease["message"], "hint")

    def place() -> None:
        with div("cell-stack"):
            el("span", lease["site_name"])
            el("span", lease["node_hostname"], "hint mono")

    return [
        name, state, place, moment(lease["active_from"]), count(int(lease["seconds"])), du(int(lease["rate_udu_per_hour"])),
    ]  # fmt: skip


def cost_card(reader: Reader, charged: tuple[Sequence[Found], bool]) -> None:
    """What has been charged until now, and which purses paid it."""
    say = reader.say
    charges, complete = charged
    with card(say(T.COST)):
        if not charges:
            el("p", say(T.COST_NONE), "muted")
            return
        purses: dict[str, int] = {}
        for charge in charges:
            for part in charge["slices"]:
                purses[part["purse"]] = purses.get(part["purse"], 0) + int(part["quantity_udu"])
        paid = " · ".join(f"{say.named(M.PURSES, p)} {du_unit(q)}" for p, q in purses.items())
        facts([
            (say(T.COST_CASH), yuan(sum(int(c["cash_ucny"]) for c in charges))),
            (say(T.COST_VALUE), yuan(sum(int(c["value_ucny"]) for c in charges))),
            (say(T.COST_QUANTITY), du_unit(sum(int(c["quantity_udu"]) for c in charges))),
            (say(T.SECONDS), duration(sum(int(c["seconds"]) for c in charges), say.language)),
            (say(T.COST_PURSES), paid),
        ])  # fmt: skip
        el("p", say(T.COST_LOW) if complete else say(T.COST_PART, count=count(len(charges))), "hint")


def artefacts_card(reader: Reader, workload: Found, page: Found | None) -> None:
    """Files that the workload left; they belong to the tenant, so the operator has none to see."""
    if page is None:
        return
    say = reader.say
    items = page["items"]
    with card(say(T.ARTEFACTS)) as head:
        if items and workload["state"] == "succeeded" and reader.may("org:model:write"):
            with head:
                div("spacer")
                button(say(T.REGISTER), lambda: _ask_register(reader, workload), "small")
        if not items:
            el("p", say(T.NO_ARTEFACTS), "muted")
            return
        columns = (Column(say(T.PATH), wide=True), Column(say(T.SIZE), number=True), Column(say(T.SHA256)))
        table(say(T.ARTEFACTS), columns, [_artefact_row(workload, a) for a in items])


def _artefact_row(workload: Found, artefact: Found) -> list[Any]:
    href = local("workloads", workload["id"], "artefacts", artefact["id"])
    return [
        lambda: link(artefact["path"], href, "mono", download=""),
        bytes_text(int(artefact["size_bytes"])),
        lambda: el("span", artefact["sha256"][:12], "mono hint", title=artefact["sha256"]),
    ]


def _ask_register(reader: Reader, workload: Found) -> None:
    say = reader.say
    with dialog(say(T.REGISTER)) as (box, actions):
        el("p", say(T.REGISTER_TEXT), "muted")

        async def go(sent: dict[str, str]) -> None:
            body: dict[str, Any] = {"workload_id": workload["id"], "path": sent["path"]}
            if sent["evaluation"].strip():
                body["evaluation_path"] = sent["evaluation"].strip()
            name = sent["model"].strip()
            if await attempt(reader.api.post(f"/models{local(name)}/versions", body), say):
                box.close()
                ui.navigate.to(local("models", name))

        with form(go) as made:
            field("model", say(T.MODEL_NAME), required=True, maxlength="63")
            field("path", say(T.MODEL_PATH), required=True, value="model", maxlength="200")
            field("evaluation", say(T.EVALUATION_PATH), value="evaluation.json", maxlength="200")
            actions.move(made)
            with actions:
                button(say(F.CANCEL_DIALOG), box.close)
                el("button", say(T.REGISTER), "button primary", type="submit")
    box.open()
