"""The part of a site's page about its provider's terms: when it is offered, taking back, place, PUE and tariff."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.console.format import moment_zoned
from zhisuan.console.parts import (
    button,
    card,
    chip,
    choice,
    dialog,
    dialog_actions,
    div,
    el,
    facts,
    field,
    form,
    notice,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.text_explained import Explained
from zhisuan.console.text_supply import Supply
from zhisuan.console.text_terms import Terms

Found = Mapping[str, Any]
Change = Callable[[str, dict[str, Any]], Awaitable[bool]]
"""Posts a body to a step below the site's path and draws the page anew; whether it was done."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def offer_card(reader: Reader, found: Found, change: Change) -> None:
    """Whether the devices are offered now and why not, the weekly windows, and the recall under way."""
    say, offer, mine = reader.say, found.get("offer"), reader.may("provider:site:write")
    if offer is None:
        return
    with card(say(Terms.OFFER)):
        with div("title-row"):
            chip(say(Terms.OFFERED if offer["offered"] else Terms.NOT_OFFERED), "ok" if offer["offered"] else "wait")
            if offer["reason"]:
                el("span", say.words(offer["reason"]), "muted")
        rows: list[tuple[str, Any]] = []
        if offer["next_open"]:
            rows.append((say(Terms.NEXT_OPEN), moment_zoned(offer["next_open"])))
        if offer["until"]:
            rows.append((say(Terms.UNTIL), moment_zoned(offer["until"])))
        rows.append((say(Terms.WINDOWS), lambda: _windows(reader, offer)))
        facts(rows)
        if found["recall"]:
            _recall(reader, found["recall"])
        live = found["state"] in ("verified", "open", "draining")
        with div("dialog-actions"):
            if mine and live:
                button(say(Terms.SET_WINDOWS), lambda: _ask_windows(reader, offer, change))
                if not found["recall"]:
                    button(say(Terms.TAKE_BACK), lambda: _ask_back(reader, change), "danger")
            if found["recall"] and reader.may("provider:site:write", "platform:site:write"):
                button(say(Terms.OFFER_AGAIN), lambda: change("offer-again", {}), "primary")


def _windows(reader: Reader, offer: Found) -> None:
    say = reader.say
    with div("cell-stack"):
        if not offer["windows"]:
            el("span", say(Terms.ALWAYS))
        for window in offer["windows"]:
            el("span", window_text(reader, window), "figure")
        if offer["windows"]:
            el("span", offer["zone"], "hint")


def window_text(reader: Reader, window: Found) -> str:
    """``周一至周五 22:00–08:00``: days that follow one another as a span."""
    days = sorted(DAYS.index(d) for d in window["days"])
    names = [reader.say(Terms.DAYS[DAYS[d]]) for d in days]
    if len(days) == len(DAYS):
        spoken = reader.say(Terms.EVERY_DAY)
    elif len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        spoken = reader.say(Terms.SPAN, first=names[0], last=names[-1])
    else:
        spoken = ("、" if reader.say.language == "zh" else ", ").join(names)
    return f"{spoken} {window['from']}–{window['to']}"


def _recall(reader: Reader, recall: Found) -> None:
    say = reader.say
    lines = [
        say(Terms.TOLD_AT, at=moment_zoned(recall["stop_at"])),
        say(Terms.BACK_AT, at=moment_zoned(recall["back_at"])),
        say(Terms.AGAIN_AT, at=moment_zoned(recall["until"])) if recall["until"] else "",
        recall["reason"],
    ]
    notice("wait", say.named(Terms.RECALL_STATES, recall["state"]), lines)


def _ask_windows(reader: Reader, offer: Found, change: Change) -> None:
    """One line a window, ``mon-fri 22:00-08:00``: as the command line writes it."""
    say = reader.say
    with dialog(say(Terms.SET_WINDOWS)) as box:

        async def go(sent: dict[str, str]) -> None:
            windows = [w for line in sent["windows"].splitlines() if line.strip() for w in [read_window(line)]]
            if any(w is None for w in windows):
                tell(say(Terms.WINDOW_WRONG), bad=True)
                return
            if await change("windows", {"zone": sent["zone"].strip(), "windows": windows}):
                box.close()

        text = "\n".join(f"{','.join(w['days'])} {w['from']}-{w['to']}" for w in offer["windows"])
        with form(go):
            field("windows", say(Terms.WINDOWS), hint=say(Terms.WINDOWS_HINT), tag="textarea", text=text, rows="4")
            field("zone", say(Terms.ZONE), required=True, value=offer["zone"])
            with dialog_actions():
                button(say(Supply.BACK), box.close)
                el("button", say(Terms.SAVE), "button primary", type="submit")
    box.open()


def read_window(line: str) -> dict[str, Any] | None:
    """None for a line that is no window; the platform judges names and times."""
    days, _, span = line.strip().lower().rpartition(" ")
    start, dash, end = span.partition("-")
    chosen = read_days(days) if days.strip() else list(DAYS)
    if not dash or not chosen:
        return None
    return {"days": chosen, "from": start, "to": end}


def read_days(text: str) -> list[str]:
    """``mon-wed, sat``; empty when something in it is no day."""
    chosen: list[str] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            return []
        start, end = DAYS.index(first), DAYS.index(last or first)
        span: Sequence[int] = range(start, end + 1) if start <= end else [*range(start, 7), *range(end + 1)]
        chosen += [DAYS[d] for d in span if DAYS[d] not in chosen]
    return chosen


def _ask_back(reader: Reader, change: Change) -> None:
    say = reader.say
    with dialog(say(Terms.TAKE_BACK)) as box:
        el("p", say(Terms.TAKE_BACK_TEXT))

        async def go(sent: dict[str, str]) -> None:
            body = {"notice_seconds": int(sent["notice"]), "reason": sent["reason"].strip()}
            if await change("take-back", body):
                box.close()

        with form(go):
            options = [(str(s), say(t)) for s, t in Terms.NOTICES]
            choice("notice", say(Terms.NOTICE), options, "600")
            field("reason", say(Terms.REASON), maxlength="200")
            with dialog_actions():
                button(say(Supply.BACK), box.close)
                el("button", say(Terms.TAKE_BACK), "button danger", type="submit")
    box.open()


def place_text(found: Found) -> str:
    """City and coordinates in degrees."""
    words = [str(found.get("city") or "")]
    if found.get("latitude_e6") is not None:
        words.append(f"{decimal_text(found['latitude_e6'], 6)}°, {decimal_text(found['longitude_e6'], 6)}°")
    return " ".join(w for w in words if w) or "–"


def tariff_text(found: Found) -> str:
    tariff = found.get("tariff_ucny_per_kwh")
    return "–" if tariff is None else f"¥{decimal_text(int(tariff), 6, at_least=2)} / kWh"


def ask_conditions(reader: Reader, found: Found, change: Change) -> None:
    """PUE, tariff and green share from now on."""
    say = reader.say
    with dialog(say(Terms.SET_CONDITIONS)) as box:
        el("p", say(Terms.CONDITIONS_TEXT), "hint")

        async def go(sent: dict[str, str]) -> None:
            pue, tariff = decimal_of(sent["pue"], 3), decimal_of(sent["tariff"], 6)
            if pue is None or (sent["tariff"].strip() and tariff is None):
                tell(say(Terms.NUMBER_WRONG), bad=True)
                return
            body: dict[str, Any] = {"pue_milli": pue, "city": sent["city"].strip()}
            if tariff is not None:
                body["tariff_ucny_per_kwh"] = tariff
            green = decimal_of(sent["green"], 4)
            if sent["green"].strip() and green is None:
                tell(say(Terms.NUMBER_WRONG), bad=True)
                return
            if green is not None:
                body["green_ppm"] = green
            if await change("conditions", body):
                box.close()

        held = found.get("tariff_ucny_per_kwh")
        with form(go):
            field("pue", say(Supply.PUE), required=True, value=decimal_text(int(found["pue_milli"]), 3), inputmode="decimal")
            field("tariff", say(Terms.TARIFF), value="" if held is None else decimal_text(int(held), 6), inputmode="decimal")
            share = found.get("green_ppm")
            field("green", say(Explained.GREEN), hint=say(Explained.GREEN_HINT), value="" if share is None else decimal_text(int(share), 4),
                  inputmode="decimal")  # fmt: skip
            field("city", say(Terms.CITY), value=found.get("city") or "", maxlength="60")
            with dialog_actions():
                button(say(Supply.BACK), box.close)
                el("button", say(Terms.SAVE), "button primary", type="submit")
    box.open()


def decimal_of(text: str, places: int) -> int | None:
    """``1.25`` in thousandths is 1250; None for what is no such number."""
    whole, _, part = text.strip().partition(".")
    if not whole.isdecimal() or len(part) > places or (part and not part.isdecimal()):
        return None
    return int(whole + part.ljust(places, "0"))
