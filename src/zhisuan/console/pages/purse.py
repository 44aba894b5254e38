"""The wallet: what is in it, how money comes in, and packs to buy."""

from collections.abc import Mapping, Sequence
from typing import Any

from zhisuan.console.format import du, yuan
from zhisuan.console.parts import button, card, dialog, dialog_actions, div, el, facts, ident
from zhisuan.console.reader import Reader
from zhisuan.console.show import attempt, done_and_again
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_money import Money
from zhisuan.console.wording import grant_line

Found = Mapping[str, Any]


def wallet_card(reader: Reader, wallet: Found, packs: Sequence[Found]) -> None:
    say = reader.say
    with card(say(Money.WALLET), id="wallet"):
        rows: list[tuple[str, Any]] = [(say(Money.BALANCE), yuan(int(wallet["wallet_ucny"])))]
        if int(wallet["arrears_ucny"]):
            rows.append((say(Money.OWED), yuan(int(wallet["arrears_ucny"]))))
        rows.append((say(Money.YOUR_ORG_ID), lambda: ident(reader.organisation_id, say)))
        facts(rows)
        for grant in wallet["grants"]:
            grant_line(grant, say)
        el("p", say(Money.TOP_UP_HOW), "hint")
    if packs:
        with card(say(Money.BUY_PACK)):
            for pack in packs:
                _pack(reader, pack, int(wallet["wallet_ucny"]))
            if not reader.may("org:wallet:write"):
                el("p", say(Money.OWNER_BUYS), "hint")


def pack_terms(reader: Reader, pack: Found) -> str:
    """``10 度 · 365 days``."""
    say, quantity = reader.say, du(int(pack["quantity_udu"]))
    if pack["valid_days"] is None:
        return say(Money.PACK_LINE_ALWAYS, du=quantity)
    return say(Money.PACK_LINE, du=quantity, days=pack["valid_days"])


def _pack(reader: Reader, pack: Found, balance_ucny: int) -> None:
    say = reader.say
    cost = int(pack["price_ucny"])
    with div("pack"):
        with div():
            el("p", say.words(pack["name"]), "strong")
            el("p", pack_terms(reader, pack), "hint")
        div("spacer")
        el("span", yuan(cost), "figure strong")
        if reader.may("org:wallet:write"):
            enough = balance_ucny >= cost
            button(say(Money.BUY), lambda: _ask(reader, pack, balance_ucny), "small",
                   disabled=None if enough else True, title=None if enough else say(Money.NOT_ENOUGH))  # fmt: skip


def _ask(reader: Reader, pack: Found, balance_ucny: int) -> None:
    say = reader.say
    with dialog(say(Money.BUY_TITLE, name=say.words(pack["name"]))) as box:
        el("p", say(Money.BUY_TEXT, price=yuan(int(pack["price_ucny"])), balance=yuan(balance_ucny)))

        async def go() -> None:
            box.close()
            if await attempt(reader.api.post("/orders", {"product": pack["product"], "quantity": 1}), say):
                done_and_again(say(Money.BOUGHT, du=du(int(pack["quantity_udu"]))))

        with dialog_actions():
            button(say(Frame.CANCEL_DIALOG), box.close)
            button(say(Money.BUY), go, "primary")
    box.open()

