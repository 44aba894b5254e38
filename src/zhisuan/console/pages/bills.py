"""The account page of each kind of reader, and the page of an invoice."""

from nicegui import App
from starlette.requests import Request
from starlette.responses import Response

from zhisuan.console.client import Connection
from zhisuan.console.frame import BILL_READERS
from zhisuan.console.pages import accounts, bill, carbon, earnings, invoice
from zhisuan.console.pages.months import known_month
from zhisuan.console.reader import Reader
from zhisuan.console.show import Asked, console_page, show
from zhisuan.console.text_frame import Frame


def register(web: App, connection: Connection) -> None:
    @console_page("/bill")
    async def money(request: Request, month: str = "", cursor: str = "") -> Response | None:
        async def build(reader: Reader) -> None:
            if reader.may("org:bill:read"):
                await bill.build(reader, known_month(month))
            elif reader.may("platform:bill:read"):
                await accounts.build(reader, cursor)
            elif reader.may("provider:earning:read"):
                await earnings.build(reader, known_month(month))
            else:
                await carbon.build(reader, known_month(month))

        return await show(request, connection, Asked("bill", Frame.BILL, BILL_READERS), build)

    @console_page("/bill/invoices/{invoice_id}")
    async def one(request: Request, invoice_id: str) -> Response | None:
        asked = Asked("bill", Frame.BILL, ("org:bill:read", "platform:bill:read"))
        return await show(request, connection, asked, lambda reader: invoice.build(reader, invoice_id))
