"""The part of a site's page about what is known of it: evidence, use, earnings, and who may act for it."""

from collections.abc import Mapping
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.console.format import amount, count, du, fen, moment, percent, share_ppm, yuan
from zhisuan.console.pages.site_terms import Change
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
    field,
    form,
    ident,
    notice,
    table,
)
from zhisuan.console.reader import Reader
from zhisuan.console.text_money import Money
from zhisuan.console.text_supply import Supply
from zhisuan.console.text_terms import Terms

Found = Mapping[str, Any]
PPM = 1_000_000
BLOCKING = ("missing", "shortfall", "unhealthy")


def use_card(reader: Reader, found: Found) -> None:
    """Held, idle and out of use, class by class."""
    say = reader.say
    if not found.get("use"):
        return
    columns = (
        Column(say(Terms.CLASS), wide=True), Column(say(Supply.CAPACITY)), Column(say(Terms.IDLE), number=True),
        Column(say(Terms.OUT), number=True),
    )  # fmt: skip
    with card(say(Terms.USE)):
        table(say(Terms.USE), columns, [_use_row(reader, u) for u in found["use"]])


def _use_row(reader: Reader, use: Found) -> list[Any]:
    say, kind = reader.say, str(use["kind"])

    def held() -> None:
        used, whole = int(use["allocated"]), int(use["total"])
        with div("cell-stack"):
            bar(share_ppm(used, whole), say.words(use["name"]))
            el("span", say(Supply.USE, used=amount(kind, used), whole=amount(kind, whole)), "hint figure")

    return [say.words(use["name"]), held, amount(kind, int(use["idle"])), amount(kind, int(use["out"]))]


def evidence_card(reader: Reader, proof: Found, change: Change) -> None:
    """Claimed, found, nominal, published and measured side by side, with what does not fit."""
    say = reader.say
    if not proof["items"]:
        return
    columns = (
        Column(say(Terms.CLASS), wide=True), Column(say(Terms.CLAIMED), number=True), Column(say(Terms.FOUND), number=True),
        Column(say(Terms.NOMINAL), number=True), Column(say(Terms.PUBLISHED), number=True),
        Column(say(Terms.MEASURED), number=True), Column(say(Terms.FLAGS)),
    )  # fmt: skip
    with card(say(Terms.EVIDENCE), note=say(Terms.EVIDENCE_NOTE)):
        table(say(Terms.EVIDENCE), columns, [_evidence_row(reader, e, change) for e in proof["items"]])
        verification = proof["verification"]
        if verification:
            el("p", say(Terms.VERIFIED_AT, at=moment(verification["at"]), note=verification["note"] or "–"), "hint")


def _evidence_row(reader: Reader, row: Found, change: Change) -> list[Any]:
    say = reader.say

    def name() -> None:
        with div("cell-stack"):
            el("span", say.words(row["name"]), "strong")
            if row["class_id"]:
                el("span", row["class_id"], "hint")

    def measured() -> None:
        with div("cell-stack"):
            el("span", _tflops(row["measured_tflops_milli"]), "figure")
            if row["measured_share_ppm"] is not None:
                el("span", say(Terms.SHARE, share=percent(int(row["measured_share_ppm"]))), "hint figure")

    def flags() -> None:
        with div("cell-stack"):
            for flag in row["flags"]:
                chip(say.words(flag), "bad" if flag["code"] in BLOCKING else "wait")
            if int(row["rate_factor_ppm"]) != PPM:
                chip(say(Terms.PRICED, share=percent(int(row["rate_factor_ppm"]))), "run")
            if reader.may("platform:site:write") and row["measured_tflops_milli"] and row["published_tflops_milli"]:
                whole = int(row["rate_factor_ppm"]) == PPM
                text = Terms.PRICE_MEASURED if whole else Terms.PRICE_PUBLISHED
                button(say(text), lambda: _ask_price(reader, row, whole, change), "small")

    claimed = row["claimed_count"]
    return [
        name, "–" if claimed is None else count(int(claimed)), count(int(row["found_count"])),
        _tflops(row["nominal_tflops_milli"]), _tflops(row["published_tflops_milli"]), measured, flags,
    ]  # fmt: skip


def _tflops(milli: int | None) -> str:
    return "–" if milli is None else decimal_text(int(milli), 3)


def _ask_price(reader: Reader, row: Found, by_measurement: bool, change: Change) -> None:
    say = reader.say
    with dialog(say(Terms.PRICE_MEASURED if by_measurement else Terms.PRICE_PUBLISHED)) as box:
        el("p", say(Terms.PRICE_TEXT))

        async def go(sent: dict[str, str]) -> None:
            basis = "measured" if by_measurement else "published"
            if await change("pricing", {"class_id": row["class_id"], "basis": basis, "reason": sent["reason"].strip()}):
                box.close()

        with form(go):
            field("reason", say(Terms.REASON), required=True, maxlength="500")
            with dialog_actions():
                button(say(Supply.BACK), box.close)
                el("button", say(Terms.SAVE), "button primary", type="submit")
    box.open()


def blocking_flags(proof: Found) -> list[Found]:
    """What the operator has to accept by name before the site is sold."""
    return [f for row in proof["items"] for f in row["flags"] if f["code"] in BLOCKING]


def flags_notice(reader: Reader, proof: Found) -> None:
    flags = blocking_flags(proof)
    if flags:
        notice("bad", reader.say(Terms.ACCEPT_TEXT), [reader.say.words(f) for f in flags])


def earnings_card(reader: Reader, found: Found) -> None:
    """What this site has earned and what is to come."""
    say = reader.say
    with card(say(Terms.EARNINGS)):
        facts([
            (say(Terms.SETTLED), fen(int(found["amount_fen"]))),
            (say(Money.FEE), fen(int(found["fee_fen"]))),
            (say(Terms.UNSETTLED), yuan(int(found["unsettled_value_ucny"]))),
        ])  # fmt: skip
        if found["items"]:
            columns = (
                Column(say(Money.MONTH)), Column(say(Money.QUANTITY), number=True), Column(say(Money.VALUE_YUAN), number=True),
                Column(say(Money.YOURS), number=True),
            )  # fmt: skip
            rows = [
                [str(e["month"]), du(int(e["quantity_udu"])), yuan(int(e["value_ucny"])), fen(int(e["amount_fen"]))]
                for e in found["items"]
            ]
            table(say(Terms.EARNINGS), columns, rows)


def access_card(reader: Reader, found: Found, tokens: Found, change: Change, revoke_token: Any) -> None:
    """The agent's credential and the join tokens there were."""
    say = reader.say
    with card(say(Terms.ACCESS)):
        rows: list[tuple[str, Any]] = [(say(Terms.CREDENTIAL_SINCE), moment(found["credential_since"]))]
        if found["revoked_at"]:
            rows.append((say(Terms.REVOKED_AT), moment(found["revoked_at"])))
        facts(rows)
        if tokens["items"]:
            columns = (Column(say(Terms.TOKEN)), Column(say(Supply.STATE)), Column(say(Terms.EXPIRES), number=True), Column(""))
            table(say(Terms.TOKENS), columns, [_token_row(reader, k, revoke_token) for k in tokens["items"]])
        else:
            empty(say(Terms.NO_TOKENS), "", say)
        if found["credential_since"] and found["state"] != "closed" and reader.may("provider:site:write", "platform:site:write"):
            with div("dialog-actions"):
                button(say(Terms.REVOKE), lambda: _ask_revoke(reader, change), "danger")


def _token_row(reader: Reader, token: Found, revoke_token: Any) -> list[Any]:
    say = reader.say

    def act() -> None:
        if token["state"] == "valid" and reader.may("provider:site:write", "platform:site:write"):
            button(say(Terms.REVOKE_TOKEN), lambda: revoke_token(token["id"]), "small")

    def name() -> None:
        ident(token["id"], say)

    tone: Any = "ok" if token["state"] == "valid" else "off"
    return [name, lambda: chip(say.named(Terms.TOKEN_STATES, token["state"]), tone), moment(token["expires_at"]), act]


def _ask_revoke(reader: Reader, change: Change) -> None:
    say = reader.say
    with dialog(say(Terms.REVOKE)) as box:
        el("p", say(Terms.REVOKE_TEXT))

        async def go(sent: dict[str, str]) -> None:
            if await change("revoke", {"reason": sent["reason"].strip()}):
                box.close()

        with form(go):
            field("reason", say(Terms.REASON), maxlength="200")
            with dialog_actions():
                button(say(Supply.BACK), box.close)
                el("button", say(Terms.REVOKE), "button danger", type="submit")
    box.open()
