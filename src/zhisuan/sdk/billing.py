"""The tenant's money: wallet, orders, bill, charges, invoices, carbon, trace."""

from collections.abc import Iterator
from typing import Any

from zhisuan.sdk.transport import Transport
from zhisuan.sdk.types.account import Check
from zhisuan.sdk.types.billing import Bill, Charge, Invoice, InvoiceDetail, Order, Trace, Wallet


class Billing(Transport):
    def wallet(self) -> Wallet:
        return self._get(Wallet, "wallet")

    def buy(self, product: str, *, quantity: int = 1, idempotency_key: str | None = None) -> Order:
        """Buy a product of the public catalogue from the wallet."""
        body = {"product": product, "quantity": quantity}
        return self._post(Order, "orders", json=body, idempotency_key=idempotency_key)

    def orders(self) -> Iterator[Order]:
        return self._pages(Order, "orders")

    def bill(self, month: str | None = None) -> Bill:
        """The bill of a month ``YYYY-MM`` (Asia/Shanghai); the running month when none is named."""
        return self._get(Bill, "bill", month=month)

    def charges(self, *, lease_id: str | None = None, invoice_line_id: str | None = None) -> Iterator[Charge]:
        return self._pages(Charge, "charges", lease_id=lease_id, invoice_line_id=invoice_line_id)

    def invoices(self) -> Iterator[Invoice]:
        return self._pages(Invoice, "invoices")

    def invoice(self, invoice_id: str) -> InvoiceDetail:
        return self._get(InvoiceDetail, "invoices", invoice_id)

    def carbon(self, *, month: str | None = None, workload_id: str | None = None) -> dict[str, Any]:
        """The carbon statement as the platform writes it, with method, factors and their sources."""
        return self._get(dict, "carbon", month=month, workload_id=workload_id)

    def bill_checks(self) -> tuple[Check, ...]:
        """The checks over the organisation's own books."""
        return self._items(Check, "bill", "checks")

    def trace(self, ident: str) -> Trace:
        """The chain through any record: order, workload, lease, charge, invoice line …"""
        return self._get(Trace, "trace", ident)
