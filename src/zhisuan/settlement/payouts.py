"""Money sent to providers outside the platform, recorded by hand: the offline payment channel."""

import hashlib

from sqlalchemy import select, text

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, FieldProblem, IdempotencyConflict, InvalidInput
from zhisuan.base.money import UCNY_PER_FEN
from zhisuan.base.text import Text
from zhisuan.ledger.accounts import Leg, provider_payable
from zhisuan.ledger.service import post
from zhisuan.ledger.tables import Balance, Transaction
from zhisuan.settlement.records import PAYOUT_KIND, payout_of
from zhisuan.settlement.types import Payout, fen_text

REFERENCE_LENGTH_MAX = 200


def provider_paid(provider_id: str) -> str:
    """The ledger account of all money that has gone out to a provider."""
    return f"provider:{provider_id}:paid"


def record_payout(tx: Tx, provider_id: str, amount_fen: int, reference: str, by: str) -> Payout:
    """Record money sent to a provider outside the platform, once per ``reference``: a repeat gets the first answer.

    ``by`` is the person who sent it. Raises ``InvalidInput`` for no amount or reference, ``IdempotencyConflict`` for a
    reference used for another payment, and ``Conflict`` where the amount is more than what is owed.
    """
    _check_payout(amount_fen, reference)
    _lock(tx, f"payout|{reference}")
    earlier = tx.session.scalar(
        select(Transaction).where(Transaction.kind == PAYOUT_KIND, Transaction.cause == reference)
    )
    if earlier is not None:
        return _same_payout(payout_of(earlier), provider_id, amount_fen)
    account = provider_payable(provider_id)
    owed_ucny = tx.session.scalar(
        select(Balance.amount).where(Balance.account == account, Balance.currency == "CNY").with_for_update()
    )
    amount_ucny = amount_fen * UCNY_PER_FEN
    if amount_ucny > (owed_ucny or 0):
        raise _too_much(amount_fen, (owed_ucny or 0) // UCNY_PER_FEN)
    memo = {"provider_id": provider_id, "amount_fen": amount_fen, "by": by}
    legs = [Leg(account, "CNY", -amount_ucny), Leg(provider_paid(provider_id), "CNY", amount_ucny)]
    transaction_id = post(tx, PAYOUT_KIND, reference, legs, org_id=provider_id, memo=memo)
    tx.emit("provider.paid", provider_id, {"transaction_id": transaction_id, "amount_fen": amount_fen, "by": by})
    return payout_of(tx.session.get_one(Transaction, transaction_id))


def _check_payout(amount_fen: int, reference: str) -> None:
    problems = []
    if amount_fen <= 0:
        problems.append(FieldProblem("amount_fen", Text("must be more than zero", "必须大于零")))
    if not reference.strip() or len(reference) > REFERENCE_LENGTH_MAX or not reference.isprintable():
        problems.append(
            FieldProblem(
                "reference",
                Text(
                    f"takes 1 to {REFERENCE_LENGTH_MAX} printable characters",
                    f"须为 1 到 {REFERENCE_LENGTH_MAX} 个可见字符",
                ),
            )
        )
    if problems:
        raise InvalidInput(
            Text("The payout is not complete.", "付款信息有误。"),
            Text("Correct the fields named below.", "请按下列提示修改。"),
            problems=problems,
        )


def _same_payout(earlier: Payout, provider_id: str, amount_fen: int) -> Payout:
    if (earlier.provider_id, earlier.amount_fen) != (provider_id, amount_fen):
        raise IdempotencyConflict(
            Text(
                f"The reference {earlier.reference!r} was used for a payout of another amount or to another provider.",
                f"付款凭证号“{earlier.reference}”已用于另一笔付款（金额或收款方不同）。",
            ),
            Text(
                "Check the bank's reference; each payment has one of its own.",
                "请核对银行凭证号；每笔付款的凭证号各不相同。",
            ),
        )
    return earlier


def _too_much(amount_fen: int, owed_fen: int) -> Conflict:
    return Conflict(
        Text(
            f"The payout of {fen_text(amount_fen)} yuan is more than the {fen_text(owed_fen)} yuan owed.",
            f"付款 {fen_text(amount_fen)} 元超过应付余额 {fen_text(owed_fen)} 元。",
        ),
        Text("Record at most what is owed; settle further invoices first.", "付款不能超过应付余额；请先结算其他账单。"),
        code="more_than_owed",
    )


def _lock(tx: Tx, name: str) -> None:
    """Let calls about ``name`` run one after the other until this transaction ends."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    tx.session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
