"""The account of a run: everything metered is rated, billed, settled, traced and checked against itself."""

import time
from typing import Any

from zhisuan.app.quickstart.run import SETTLED_SECONDS, Quickstart
from zhisuan.base.errors import Unavailable
from zhisuan.base.money import decimal_text, div_half_even
from zhisuan.base.text import Text

PURSES = {
    "free": Text("free quota", "免费额度"),
    "pack": Text("compute pack", "算力包"),
    "wallet": Text("wallet", "钱包"),
    "arrears": Text("arrears", "欠费"),
}
STATIONS = ("supply", "catalogue", "workload", "placement", "lease", "execution", "usage", "charge", "invoice", "settlement", "carbon", "trace", "checks")  # fmt: skip


def close_the_account(q: Quickstart) -> dict[str, Any]:
    """Station 5: the statement as the report's stations. Raises ``Unavailable`` when usage does not arrive."""
    show, state = q.screen, q.state
    show.station("5", Text("Usage, charge, invoice, settlement, carbon", "用量、计费、账单、结算、碳"))
    job = q.tenant.workload(str(state.get("job_id"))).as_json()
    service = q.tenant.workload(str(state.get("service_id"))).as_json()
    leases = [*job["leases"], *service["leases"]]
    talk = state.get("talk") or {"turns": []}
    charges = _all_rated(q, leases, calls=len(talk["turns"]))
    invoices = _invoices(q)
    settlements = [_settled(q, str(i["id"])) for i in invoices]
    bill = q.tenant.bill().as_json()
    carbon = q.tenant.carbon()
    line = next((x for i in invoices for x in i["lines"] if x["kind"] == "time"), None)
    trace = q.tenant.trace(line["id"] if line else job["id"]).as_json()
    checks = [c.as_json() for c in q.tenant.bill_checks()] + _own_checks(leases, charges, invoices, settlements, trace)
    _show(q, bill, invoices, settlements, carbon, checks)
    return {
        "supply": q.facts["supply"],
        "catalogue": q.facts["catalogue"],
        "workload": {"job": _short(job), "service": _short(service)},
        "placement": {"job": job["placement"], "service": service["placement"]},
        "lease": leases,
        "execution": {
            "artefacts": q.facts["artefacts"], "model": q.facts["model"], "evaluation": q.facts["evaluation"], "service": q.facts["service"],
            "events": {"job": job["events"], "service": service["events"]},
        },
        "usage": {
            "device_seconds": bill["seconds"], "quantity_udu": bill["quantity_udu"], "tokens": bill["tokens"],
            "by_workload": bill["by_workload"],
        },
        "charge": {"by_purse": bill["by_purse"], "cash_ucny": bill["cash_ucny"], "value_ucny": bill["value_ucny"], "charges": charges},
        "invoice": invoices,
        "settlement": settlements,
        "carbon": carbon,
        "trace": trace,
        "checks": checks,
    }  # fmt: skip


def _short(workload: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in workload.items() if k not in ("leases", "placement", "events")}


def _all_rated(q: Quickstart, leases: list[dict[str, Any]], *, calls: int) -> list[dict[str, Any]]:
    """All charges of the run, once every metered second and every model call has one."""
    until = time.monotonic() + SETTLED_SECONDS
    wanted = sum(x["seconds"] for x in leases if x["fault"] is None)
    while True:
        charges = [c.as_json() for lease in leases for c in q.tenant.charges(lease_id=lease["id"])]
        seconds = sum(c["seconds"] or 0 for c in charges)
        tokens = sum(1 for c in charges if c["kind"] == "tokens")
        if seconds == wanted and tokens >= calls:
            return charges
        if time.monotonic() > until:
            raise Unavailable(
                Text(
                    f"{seconds} of {wanted} seconds and {tokens} of {calls} model calls are charged so far.",
                    f"目前已计费 {seconds}/{wanted} 秒、{tokens}/{calls} 次模型调用。",
                ),
                Text("Run the quickstart again: it goes on from here.", "请再次运行 quickstart，将从此处继续。"),
            )
        q.platform.tend()
        time.sleep(0.3)


def _invoices(q: Quickstart) -> list[dict[str, Any]]:
    q.operator.issue_invoices(str(q.state.get("org_id")), idempotency_key=q.state.key("invoice"))
    return [q.tenant.invoice(i.id).as_json() for i in q.tenant.invoices()]


def _settled(q: Quickstart, invoice_id: str) -> dict[str, Any]:
    """A settlement, each share with its exact amount before the one rounding to the fen."""
    made = q.operator.settle_invoice(invoice_id, idempotency_key=q.state.key(f"settle-{invoice_id}")).as_json()
    fee_ppm = int(q.operator.catalog().as_json()["book"]["platform_fee_ppm"])
    for share in made["shares"]:
        kept = 1_000_000 - fee_ppm if share["role"] == "provider" else fee_ppm
        share["exact_ucny"] = div_half_even(share["value_ucny"] * kept, 1_000_000)
    return made


def _own_checks(
    leases: list[dict[str, Any]],
    charges: list[dict[str, Any]],
    invoices: list[dict[str, Any]],
    settlements: list[dict[str, Any]],
    trace: dict[str, Any],
) -> list[dict[str, Any]]:
    """What this run promises beside the books' own checks, worked out again from the answers of the API."""
    leased = sum(x["seconds"] for x in leases if x["fault"] is None)
    charged = sum(c["seconds"] or 0 for c in charges)
    sliced = all(sum(s["quantity_udu"] for s in c["slices"]) == c["quantity_udu"] and sum(s["cash_ucny"] for s in c["slices"]) == c["cash_ucny"] for c in charges)  # fmt: skip
    lines = all(sum(x["shown_fen"] for x in i["lines"]) == i["total_fen"] for i in invoices)
    shares = all(sum(x["amount_fen"] for x in s["shares"]) == s["total_fen"] for s in settlements)
    empty = [s["station"] for s in trace["stations"] if not s["records"]]
    return [
        _check(
            "usage_equals_lease_time",
            charged == leased,
            f"{charged} s charged, {leased} s leased",
            f"计费 {charged} 秒，租约 {leased} 秒",
        ),
        _check("every_charge_is_its_slices", sliced, f"{len(charges)} charges", f"{len(charges)} 笔计费"),
        _check("invoice_lines_to_the_fen", lines, f"{len(invoices)} invoices", f"{len(invoices)} 张账单"),
        _check("settlement_shares_to_the_fen", shares, f"{len(settlements)} settlements", f"{len(settlements)} 笔结算"),
        _check(
            "trace_is_whole",
            not empty,
            "no station is empty" if not empty else f"empty: {', '.join(empty)}",
            "所有环节均有记录" if not empty else f"缺少：{'、'.join(empty)}",
        ),
    ]


def _check(name: str, ok: bool, en: str, zh: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "detail": {"en": en, "zh": zh}}


def _show(
    q: Quickstart,
    bill: dict[str, Any],
    invoices: list[dict[str, Any]],
    settlements: list[dict[str, Any]],
    carbon: dict[str, Any],
    checks: list[dict[str, Any]],
) -> None:
    show = q.screen
    tokens = bill["tokens"]
    show.good(Text("device time", "设备时长"), f"{bill['seconds']} s = {decimal_text(bill['quantity_udu'], 6)} 度")
    show.good(Text("tokens in / out", "token 输入/输出"), f"{tokens['input']} / {tokens['output']}")
    for purse, label in PURSES.items():
        used = bill["by_purse"].get(purse)
        if used and used["quantity_udu"]:
            show.fact(
                label,
                f"{decimal_text(used['quantity_udu'], 6)} 度 · {decimal_text(used['cash_ucny'], 6, at_least=2)} {q._yuan()}",
            )
    for invoice in invoices:
        show.good(
            Text("invoice", "账单"),
            f"{invoice['number']} · {decimal_text(invoice['total_fen'], 2, at_least=2)} {q._yuan()}",
        )
        for line in invoice["lines"]:
            show.fact(
                Text("line", "行"),
                f"{line['title'][show.language]} · {decimal_text(line['amount_ucny'], 6, at_least=2)} {q._yuan()}",
            )
    for settlement in settlements:
        for share in settlement["shares"]:
            role = Text("provider", "提供方") if share["role"] == "provider" else Text("platform", "平台")
            show.good(
                Text("settled to the", "结算给"),
                f"{show.text(role)} {decimal_text(share['amount_fen'], 2, at_least=2)} {q._yuan()}",
            )
    totals = carbon["totals"]
    show.good(Text("energy (modelled from rated power)", "能耗（按额定功率估算）"), f"{totals['energy_kwh']} kWh")
    show.good(Text("carbon (location-based)", "碳排放（基于位置）"), f"{totals['carbon_g']} gCO2")
    for check in checks:
        (show.good if check["ok"] else show.bad)(
            Text("check", "核对"), f"{check['name']}: {check['detail'][show.language]}"
        )
