"""Choosing a bill month."""

import re

from zhisuan.console.parts import button_link, div, el
from zhisuan.console.reader import Reader
from zhisuan.console.text_money import Money

MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
SHOWN = 12


def known_month(text: str) -> str | None:
    """A month such as ``2026-08``, or None for what is not one: the platform then takes its own."""
    return text if MONTH.fullmatch(text) else None


def moved(month: str, by: int) -> str:
    """The month ``by`` months later."""
    number = int(month[:4]) * 12 + int(month[5:]) - 1 + by
    return f"{number // 12:04}-{number % 12 + 1:02}"


def month_picker(reader: Reader, month: str, path: str = "/bill") -> None:
    """The month in the middle, one step either way, and a list of the year around it."""
    say = reader.say
    with div("month-picker", role="group", aria_label=say(Money.MONTH)):
        button_link("‹", f"{path}?month={moved(month, -1)}", aria_label=say(Money.EARLIER))
        chooser = el("select", "", "input", aria_label=say(Money.MONTH), data_goto=f"{path}?month=")
        with chooser:
            for by in range(2, -SHOWN, -1):
                each = moved(month, by)
                el("option", each, value=each, selected=True if each == month else None)
        button_link("›", f"{path}?month={moved(month, 1)}", aria_label=say(Money.LATER))

