"""The operator's calls: organisations, prices, invoices, settlements, payouts, checks."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from zhisuan.sdk.transport import Transport
from zhisuan.sdk.types.account import Check, Organisation, PriceBookVersion, SignedUp
from zhisuan.sdk.types.billing import Invoice, Settlement, TopUp
from zhisuan.sdk.types.supply import Payout


class Operation(Transport):
    def organisations(self) -> Iterator[Organisation]:
        return self._pages(Organisation, "organisations")

    def create_organisation(
        self,
        kind: str,
        organisation: str,
        name: str,
        email: str,
        password: str,
        *,
        language: str | None = None,
        idempotency_key: str | None = None,
    ) -> SignedUp:
        """An organisation of any kind, with its first person and first key. ``language`` is that of the person."""
        body = {"kind": kind, "organisation": organisation, "name": name, "email": email, "password": password}
        body["language"] = "zh" if (language or self.language).lower().startswith("zh") else "en"
        return self._post(SignedUp, "organisations", json=body, idempotency_key=idempotency_key)

    def top_up(
        self,
        org_id: str,
        amount_yuan: str,
        reference: str,
        *,
        channel: str = "bank_transfer",
        idempotency_key: str | None = None,
    ) -> TopUp:
        """Book money that has arrived into a wallet; ``amount_yuan`` is decimal text such as ``"20.00"``."""
        body = {"amount_yuan": amount_yuan, "channel": channel, "reference": reference}
        return self._post(TopUp, "organisations", org_id, "top-ups", json=body, idempotency_key=idempotency_key)

    def issue_invoices(
        self, org_id: str, *, through: datetime | None = None, idempotency_key: str | None = None
    ) -> tuple[Invoice, ...]:
        """Invoices for all that is not billed yet, up to ``through``; none when there is nothing."""
        body = {"through": through.isoformat()} if through else {}
        answer = self._post(dict, "organisations", org_id, "invoices", json=body, idempotency_key=idempotency_key)
        found: tuple[Invoice, ...] = self._shaped(
            tuple[Invoice, ...], answer.get("items"), "POST /organisations/…/invoices"
        )
        return found

    def settle_invoice(self, invoice_id: str, *, idempotency_key: str | None = None) -> Settlement:
        return self._post(Settlement, "invoices", invoice_id, "settlement", idempotency_key=idempotency_key)

    def settlements(self) -> Iterator[Settlement]:
        return self._pages(Settlement, "settlements")

    def price_books(self) -> Iterator[PriceBookVersion]:
        """Newest first."""
        return self._pages(PriceBookVersion, "price-books", cursor_name="before")

    def publish_price_book(
        self, yaml_text: str, *, effective_from: datetime | None = None, idempotency_key: str | None = None
    ) -> PriceBookVersion:
        body: dict[str, Any] = {"yaml": yaml_text}
        if effective_from:
            body["effective_from"] = effective_from.isoformat()
        return self._post(PriceBookVersion, "price-books", json=body, idempotency_key=idempotency_key)

    def pay_provider(
        self, provider_id: str, amount_fen: int, reference: str, *, idempotency_key: str | None = None
    ) -> Payout:
        """Record a payment made to a provider."""
        body = {"amount_fen": amount_fen, "reference": reference}
        return self._post(Payout, "providers", provider_id, "payouts", json=body, idempotency_key=idempotency_key)

    def checks(self) -> tuple[Check, ...]:
        """The checks over the whole platform's books."""
        return self._items(Check, "checks")
