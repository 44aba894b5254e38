"""The first page: of a tenant, a provider, the operator or the city."""

from nicegui import App
from starlette.requests import Request
from starlette.responses import Response

from zhisuan.console.client import Connection
from zhisuan.console.pages import overview_supply, overview_tenant
from zhisuan.console.reader import Reader
from zhisuan.console.show import Asked, console_page, show
from zhisuan.console.text_frame import Frame

BUILDERS = {
    "tenant": overview_tenant.build,
    "provider": overview_supply.provider,
    "operator": overview_supply.operator,
    "city": overview_supply.city,
}


def register(web: App, connection: Connection) -> None:
    @console_page("/")
    async def overview(request: Request) -> Response | None:
        return await show(request, connection, Asked("overview", Frame.OVERVIEW), _build)


async def _build(reader: Reader) -> None:
    found = await reader.api.get("/overview")
    await BUILDERS[str(found["kind"])](reader, found)
