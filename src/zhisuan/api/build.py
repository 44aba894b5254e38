"""The FastAPI application from its routes."""

from fastapi import APIRouter, FastAPI

from zhisuan import __version__
from zhisuan.api import problems
from zhisuan.api.ordering import Desk
from zhisuan.api.platform import Platform
from zhisuan.api.routes import (
    account,
    billing,
    catalog,
    engine_accounts,
    models,
    overview,
    places,
    quotas,
    sites,
    templates,
    trace,
    uploads,
    volumes,
    wallet,
    wire_gateway,
    wire_site,
    workload_pauses,
    workloads,
    workspaces,
)
from zhisuan.wire import PREFIX

ROUTERS = (
    workloads, account, sites, engine_accounts, catalog, wallet, workload_pauses, workspaces, templates, models, billing, trace,
    overview, uploads, volumes, places, quotas,
)  # fmt: skip
"""Routes are tried in this order, so those that are called most come first."""


def add_api(app: FastAPI, platform: Platform) -> FastAPI:
    """Put ``/api/v1`` and the wire on ``app``, working with ``platform``."""
    work_with(app, platform)
    problems.install(app)
    return add_routes(app)


def work_with(app: FastAPI, platform: Platform) -> None:
    """What the routes find when they are called."""
    app.state.platform = platform
    app.state.desk = Desk(platform)


def add_routes(app: FastAPI) -> FastAPI:
    api = APIRouter(prefix="/api/v1", responses=problems.RESPONSES)
    for module in ROUTERS:
        api.include_router(module.router)
    wire = APIRouter(prefix=PREFIX, include_in_schema=False)
    wire.include_router(wire_site.router)
    wire.include_router(wire_gateway.router)
    app.include_router(wire)
    app.include_router(api)
    return app


def new_app(**more: object) -> FastAPI:
    return FastAPI(
        title="zhisuan",
        version=__version__,
        summary="One network, one board, one account for a city's AI compute.",
        openapi_url="/api/v1/openapi.json",
        docs_url="/api/v1/docs",
        redoc_url=None,
        **more,  # type: ignore[arg-type]
    )
