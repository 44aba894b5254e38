"""``trace``: the chain from supply to carbon through any record."""

import json
from typing import TYPE_CHECKING, Annotated, Any

from zhisuan.cli.output import Screen, show
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.session import connect
from zhisuan.cli.text import STATIONS, arg, say, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import Trace


def trace(
    ident: Annotated[
        str,
        arg(
            "Id of any record: workload, lease, charge, invoice line, order, settlement …",
            "任一记录的编号：作业、租约、计费、账单行、订单、结算……",
            metavar="ID",
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.trace(ident)
    show(as_json, found.as_json(), lambda screen: _draw(screen, found))


def _draw(screen: Screen, found: "Trace") -> None:
    for number, station in enumerate(found.stations, 1):
        name = say(STATIONS[station.station]) if station.station in STATIONS else station.station
        screen.title(f"{number}. {name}")
        if not station.records:
            screen.line(t("   nothing here", "   无"), "dim")
        for record in station.records:
            here = " ←" if record.id == found.id else ""
            screen.line(f"   {record.id}  {say(record.title)}{here}")
            screen.facts([(f"      {key}", _value(value)) for key, value in record.facts.items()])


def _value(value: Any) -> str:
    if isinstance(value, dict) and set(value) >= {"en", "zh"}:
        return t(str(value["en"]), str(value["zh"]))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
