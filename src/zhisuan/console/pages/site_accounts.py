"""The part of a site's page about its engine's own account: whether it counted what the platform metered."""

from collections.abc import Mapping
from typing import Any

from zhisuan.console.format import count
from zhisuan.console.parts import card, el, facts
from zhisuan.console.reader import Reader
from zhisuan.console.text_accounts import Accounts

Found = Mapping[str, Any]


def account_card(reader: Reader, found: Found) -> None:
    say = reader.say
    if not any(int(found[name]) for name in Accounts.COUNTS):
        return
    with card(say(Accounts.TITLE)):
        facts([(say(label), count(int(found[name]))) for name, label in Accounts.COUNTS.items()])
        el(
            "p",
            say(Accounts.RULE, seconds=found["tolerance_seconds"], share=found["tolerance_per_cent"]),
            "hint",
        )
