"""The operator's commands: ``org``, ``prices``, ``invoice``, ``settle``, ``payout``, ``checks``."""

from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhisuan.cli.errors import REFUSED, usage_error
from zhisuan.cli.figures import cny, cny_fen, fen, price_per_du, time_of_day, yuan
from zhisuan.cli.output import Screen, items, print_json, show
from zhisuan.cli.params import JsonFlag, Limit, PasswordStdin, read_password, time_of
from zhisuan.cli.session import connect
from zhisuan.cli.text import arg, opt, say, state, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import Settlement

OrgId = Annotated[str, arg("Id of the organisation (org_…).", "组织编号（org_…）。", metavar="ORG")]
Reference = Annotated[
    str,
    opt(
        "--reference", metavar="TEXT", en="Reference of the payment; each counts once.", zh="付款凭据号；每个只计一次。"
    ),
]


def list_organisations(limit: Limit = 50, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = list(islice(client.organisations(), limit))
    show(
        as_json,
        items(found),
        lambda screen: screen.table(
            "!id !kind name !created", [(o.id, state(o.kind), o.name, time_of_day(o.created_at)) for o in found]
        ),
    )


def create_organisation(
    name: Annotated[str, arg("Name of the organisation.", "组织名称。", metavar="NAME")],
    kind: Annotated[
        str,
        opt(
            "--kind",
            metavar="KIND",
            en="tenant, provider, operator or city.",
            zh="类型：tenant、provider、operator 或 city。",
        ),
    ],
    email: Annotated[str, opt("--email", metavar="ADDRESS", en="Address of its first person.", zh="首位成员的邮箱。")],
    person: Annotated[str, opt("--person", metavar="NAME", en="Name of its first person.", zh="首位成员的姓名。")],
    password_stdin: PasswordStdin = False,
    as_json: JsonFlag = False,
) -> None:
    password = read_password(password_stdin, confirm=True)
    with connect() as client:
        made = client.create_organisation(kind, name, person, email, password)

    def draw(screen: Screen) -> None:
        screen.facts([(t("Organisation", "组织"), made.organisation_id), (t("Person", "成员"), made.user_id)])
        if made.key.lost:
            screen.note(t("They sign in with address and password.", "请使用邮箱和密码登录。"))
            return
        screen.line(made.key.secret)
        screen.note(t("Its first key; it is not shown again.", "首个密钥；不会再次显示。"))

    show(as_json, made.as_json(), draw)


def top_up(
    org: OrgId,
    amount: Annotated[str, arg("Yuan that arrived, such as 20.00.", "到账金额（元），例如 20.00。", metavar="YUAN")],
    reference: Reference,
    channel: Annotated[
        str,
        opt(
            "--channel",
            metavar="CHANNEL",
            en="bank_transfer, cash or other_offline.",
            zh="渠道：bank_transfer、cash 或 other_offline。",
        ),
    ] = "bank_transfer",
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.top_up(org, amount, reference, channel=channel)
    show(
        as_json,
        made.as_json(),
        lambda screen: screen.line(
            t(f"{made.id}: {cny(made.amount_ucny)} into the wallet of {made.org_id}.", f"{made.id}：已向 {made.org_id} 的钱包充值 {cny(made.amount_ucny)}。")
        ),
    )  # fmt: skip


def show_prices(limit: Limit = 20, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = list(islice(client.price_books(), limit))
    show(
        as_json,
        items(found),
        lambda screen: screen.table(
            ">version !effective title actor",
            [
                (
                    str(p.version),
                    time_of_day(p.effective_from),
                    price_per_du(p.book.on_demand_price_e8_per_du if p.book else None),
                    p.published_by or "",
                )
                for p in found
            ],
        ),
    )


def publish_prices(
    file: Annotated[Path, arg("A price file (YAML).", "价目表文件（YAML）。", metavar="FILE")],
    effective: Annotated[
        str | None,
        opt(
            "--from",
            metavar="TIME",
            en="When it takes force; at once otherwise. No zone means Asia/Shanghai.",
            zh="生效时间；默认立即生效。不带时区按北京时间。",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    from zhisuan.sdk.launchfile import read_file

    with connect() as client:
        made = client.publish_price_book(read_file(file), effective_from=time_of(effective, "--from"))
    show(
        as_json,
        made.as_json(),
        lambda screen: screen.line(
            t(
                f"Price book {made.version}, in force from {time_of_day(made.effective_from)} UTC+8.",
                f"价目表版本 {made.version}，{time_of_day(made.effective_from)}（UTC+8）起生效。",
            )
        ),
    )


def issue_invoices(
    org: OrgId,
    through: Annotated[
        str | None,
        opt(
            "--through",
            metavar="TIME",
            en="Bill what was used before this time; now otherwise.",
            zh="为此时间之前的用量出账；默认当前时间。",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.issue_invoices(org, through=time_of(through, "--through"))

    def draw(screen: Screen) -> None:
        if not made:
            screen.line(t("Nothing to bill.", "没有可出账的用量。"))
            return
        screen.table(
            "!invoice >number !month >amount", [(i.id, str(i.number), i.month, fen(i.total_fen)) for i in made]
        )

    show(as_json, items(made), draw)


def settle(
    invoice: Annotated[str, arg("Id of the invoice (inv_…).", "账单编号（inv_…）。", metavar="INVOICE")],
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.settle_invoice(invoice)
    show(as_json, made.as_json(), lambda screen: _draw_settlement(screen, made))


def _draw_settlement(screen: Screen, made: "Settlement") -> None:
    screen.facts(
        [
            (t("Settlement", "结算"), made.id),
            (t("Invoice", "账单"), made.invoice_id),
            (t("Value", "价值"), cny(made.value_ucny)),
            (t("Split", "分配合计"), cny_fen(made.total_fen)),
        ]
    )
    screen.line()
    screen.table(
        "!party role >value >amount",
        [(s.party, state(s.role), yuan(s.value_ucny), fen(s.amount_fen)) for s in made.shares],
    )


def payout(
    provider: Annotated[str, arg("Id of the provider (org_…).", "提供方编号（org_…）。", metavar="PROVIDER")],
    amount: Annotated[str, arg("Yuan that were paid, such as 12.34.", "已付金额（元），例如 12.34。", metavar="YUAN")],
    reference: Reference,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.pay_provider(provider, fen_of(amount), reference)
    show(
        as_json,
        made.as_json(),
        lambda screen: screen.line(
            t(
                f"{made.transaction_id}: {cny_fen(made.amount_fen)} paid to {made.provider_id} ({made.reference}).",
                f"{made.transaction_id}：已向 {made.provider_id} 付款 {cny_fen(made.amount_fen)}（{made.reference}）。",
            )
        ),
    )


def fen_of(yuan_text: str) -> int:
    """Whole fen of a decimal text of yuan. Raises ``InvalidInput``; nothing is rounded."""
    try:
        scaled = Decimal(yuan_text) * 100
        if not scaled.is_finite() or scaled != scaled.to_integral_value() or scaled <= 0:
            raise InvalidOperation
    except InvalidOperation as error:
        raise usage_error(
            f"{yuan_text}: an amount of yuan with at most two decimals, more than zero.",
            f"{yuan_text}：须为大于零、最多两位小数的金额（元）。",
        ) from error
    return int(scaled)


def checks(as_json: JsonFlag = False) -> None:
    with connect() as client:
        own = client.me().organisation.kind == "tenant"
        found = client.bill_checks() if own else client.checks()
    if as_json:
        print_json(items(found))
    else:
        Screen().table(
            "ok check detail",
            [(t("ok", "通过") if c.ok else t("WRONG", "不符"), c.name, say(c.detail)) for c in found],
            ["" if c.ok else "red" for c in found],
        )
    if not all(c.ok for c in found):
        raise typer.Exit(REFUSED)
