"""Parts of a workload's page: time line, leases, cost, artefacts."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from zhisuan.console.format import ZONE, bytes_text, count, du, du_unit, duration, moment, yuan
from zhisuan.console.parts import (
    Column,
    button,
    card,
    dialog,
    dialog_actions,
    div,
    el,
    facts,
    field,
    form,
    ident,
    link,
    local,
    table,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import attempt
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_money import Money
from zhisuan.console.text_work import Work
from zhisuan.console.wording import WORKLOAD_TONES, cause_text, lease_chip

Found = Mapping[str, Any]


def timeline_card(reader: Reader, events: Sequence[Found]) -> None:
    """Every change of state with its time, cause and who made it."""
    say = reader.say
    with card(say(Work.TIMELINE), note=ZONE), el("ol", "", "timeline"):
        for event in sorted(events, key=lambda e: int(e["number"])):
            with el("li", "", f"tone-{WORKLOAD_TONES.get(event['state'], 'off')}"):
                el("span", say.named(Work.STATES, event["state"]), "strong")
                el("span", moment(event["at"]), "hint figure")
                if event["cause"]:
                    el("span", cause_text(event["cause"], say), "muted")
                ident(event["actor"], say)


def leases_card(reader: Reader, leases: Sequence[Found]) -> None:
    say = reader.say
    with card(say(Work.LEASES)):
        if not leases:
            el("p", say(Work.NO_LEASES), "muted")
            return
        columns = (
            Column(say(Work.LEASE)), Column(say(Work.STATE), wide=True), Column(say(Work.SITE)),
            Column(f"{say(Work.ACTIVE_FROM)} ({ZONE})", number=True), Column(say(Work.SECONDS), number=True),
        )  # fmt: skip
        table(say(Work.LEASES), columns, [_lease_row(reader, lease) for lease in leases])


def _lease_row(reader: Reader, lease: Found) -> list[Any]:
    say = reader.say
    traced = reader.may("org:trace:read", "platform:trace:read")

    def name() -> None:
        with div("cell-stack"):
            ident(lease["id"], say, href=local("trace", lease["id"]) if traced else None)
            el("span", f"{say(Work.GENERATION)} {lease['generation']}", "hint")

    def state() -> None:
        with div("cell-stack"):
            lease_chip(lease["state"], say)
            if lease["ready"] is not None and lease["state"] == "active":
                el("span", say(Work.READY if lease["ready"] else Work.NOT_READY), "hint")
            if lease["fault"]:
                el("span", say(Work.FAULT, who=say.named(Work.FAULTS, lease["fault"])), "hint")
            if lease["message"]:
                el("span", lease["message"], "hint")

    def place() -> None:
        with div("cell-stack"):
            el("span", lease["site_name"])
            el("span", ", ".join(lease["node_hostnames"]), "hint mono")

    def seconds() -> None:
        with div("cell-stack"):
            el("span", count(int(lease["seconds"])))
            el("span", f"{du(int(lease['rate_udu_per_hour']))} {say(Work.RATE)}", "hint")

    return [name, state, place, moment(lease["active_from"]), seconds]


def cost_card(reader: Reader, charged: tuple[Sequence[Found], bool]) -> None:
    """What has been charged until now, and which purses paid it."""
    say = reader.say
    charges, complete = charged
    with card(say(Work.COST)):
        if not charges:
            el("p", say(Work.COST_NONE), "muted")
            return
        purses: dict[str, int] = {}
        for charge in charges:
            for part in charge["slices"]:
                purses[part["purse"]] = purses.get(part["purse"], 0) + int(part["quantity_udu"])
        paid = " · ".join(f"{say.named(Money.PURSES, p)} {du_unit(q)}" for p, q in purses.items())
        facts([
            (say(Work.COST_CASH), yuan(sum(int(c["cash_ucny"]) for c in charges))),
            (say(Work.COST_VALUE), yuan(sum(int(c["value_ucny"]) for c in charges))),
            (say(Work.COST_QUANTITY), du_unit(sum(int(c["quantity_udu"]) for c in charges))),
            (say(Work.SECONDS), duration(sum(int(c["seconds"]) for c in charges), say.language)),
            (say(Work.COST_PURSES), paid),
        ])  # fmt: skip
        el("p", say(Work.COST_LOW) if complete else say(Work.COST_PART, count=count(len(charges))), "hint")


def artefacts_card(reader: Reader, workload: Found, page: Found | None) -> None:
    """Files that the workload left; they belong to the tenant, so the operator has none to see."""
    if page is None:
        return
    say = reader.say
    items = page["items"]
    with card(say(Work.ARTEFACTS)) as head:
        if items and workload["state"] == "succeeded" and reader.may("org:model:write"):
            with head:
                div("spacer")
                button(say(Work.REGISTER), lambda: _ask_register(reader, workload), "small")
        if not items:
            el("p", say(Work.NO_ARTEFACTS), "muted")
            return
        columns = (Column(say(Work.PATH), wide=True), Column(say(Work.SIZE), number=True), Column(say(Work.SHA256)))
        table(say(Work.ARTEFACTS), columns, [_artefact_row(workload, a) for a in items])


def _artefact_row(workload: Found, artefact: Found) -> list[Any]:
    href = local("workloads", workload["id"], "artefacts", artefact["id"])
    return [
        lambda: link(artefact["path"], href, "mono", download=""),
        bytes_text(int(artefact["size_bytes"])),
        lambda: el("span", artefact["sha256"][:12], "mono hint", title=artefact["sha256"]),
    ]


def _ask_register(reader: Reader, workload: Found) -> None:
    say = reader.say
    with dialog(say(Work.REGISTER)) as box:
        el("p", say(Work.REGISTER_TEXT), "muted")

        async def go(sent: dict[str, str]) -> None:
            body: dict[str, Any] = {"workload_id": workload["id"], "path": sent["path"]}
            if sent["evaluation"].strip():
                body["evaluation_path"] = sent["evaluation"].strip()
            name = sent["model"].strip()
            if await attempt(reader.api.post(f"/models{local(name)}/versions", body), say):
                box.close()
                ui.navigate.to(local("models", name))

        with form(go):
            field("model", say(Work.MODEL_NAME), required=True, maxlength="63")
            field("path", say(Work.MODEL_PATH), required=True, value="model", maxlength="200")
            field("evaluation", say(Work.EVALUATION_PATH), value="evaluation.json", maxlength="200")
            with dialog_actions():
                button(say(Frame.CANCEL_DIALOG), box.close)
                el("button", say(Work.REGISTER), "button primary", type="submit")
    box.open()
