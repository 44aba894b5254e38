"""Which rule made a charge, and what an invoice line is about, in words."""

from collections.abc import Sequence

from sqlalchemy import select

from zhisuan.api.schemas import Words
from zhisuan.base.db import Tx
from zhisuan.base.money import decimal_text
from zhisuan.execution.tables import Lease
from zhisuan.ledger.tables import Charge, InvoiceLine
from zhisuan.models.tables import Deployment, Model
from zhisuan.workload.tables import Workload


def charge_rule(charge: Charge) -> Words:
    """How a charge came about, so that a person can work it out again."""
    price = decimal_text(charge.price_e8_per_du, 8, at_least=2)
    quantity = decimal_text(charge.quantity_udu, 6)
    book = f"price book {charge.price_book_version}"
    if charge.kind == "tokens":
        return Words(
            en=f"{charge.tokens} tokens = {quantity} 度 at the deployment's token rate ({book}); beyond grants {price} yuan/度",
            zh=f"{charge.tokens} 个 token，按部署的 token 费率折 {quantity} 度（价目第 {charge.price_book_version} 版）；额度用完后 {price} 元/度",
        )
    if charge.kind == "credit":
        return Words(
            en=f"credit: the lease ended by a fault of the site or the platform; {quantity} 度 taken back slice by slice",
            zh=f"赔付：租约因站点或平台故障结束，逐项冲回 {quantity} 度",
        )
    return Words(
        en=f"{charge.seconds} s of the lease = {quantity} 度 at its published rate; beyond grants {price} yuan/度 ({book})",
        zh=f"租约 {charge.seconds} 秒，按公布费率折 {quantity} 度；额度用完后 {price} 元/度（价目第 {charge.price_book_version} 版）",
    )


def line_titles(tx: Tx, lines: Sequence[InvoiceLine]) -> dict[str, Words]:
    """A title for each line by its id, in a fixed number of queries."""
    subjects = {line.subject for line in lines}
    by_lease = dict(
        tx.session.execute(
            select(Lease.id, Workload.name)
            .join(Workload, Workload.id == Lease.workload_id)
            .where(Lease.id.in_(subjects))
        ).all()
    )
    by_deployment = dict(
        tx.session.execute(
            select(Deployment.id, Model.name)
            .join(Model, Model.id == Deployment.model_id)
            .where(Deployment.id.in_(subjects))
        ).all()
    )
    return {line.id: _title(line, by_lease, by_deployment) for line in lines}


def _title(line: InvoiceLine, by_lease: dict[str, str], by_deployment: dict[str, str]) -> Words:
    name = by_lease.get(line.subject) or by_deployment.get(line.subject) or line.subject
    if line.kind == "tokens":
        return Words(en=f"Tokens of {name}", zh=f"{name} 的 token")
    if line.kind == "pack":
        product = str(line.detail.get("product", line.subject))
        return Words(en=f"Compute pack {product}", zh=f"算力包 {product}")
    if line.kind == "credit":
        return Words(en=f"Credit for {name}", zh=f"{name} 的赔付")
    return Words(en=f"Compute time of {name}", zh=f"{name} 的计算时长")
