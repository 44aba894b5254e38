"""All pages and routes of the console."""

from nicegui import App

from zhisuan.console.client import Connection
from zhisuan.console.pages import (
    bills,
    catalog,
    entrance,
    files,
    models,
    overview,
    quotas,
    sites,
    trace,
    volumes,
    workloads,
    workspaces,
)

MODULES = (entrance, overview, workloads, workspaces, files, models, volumes, quotas, bills, sites, trace, catalog)


def register(web: App, connection: Connection) -> None:
    """Put every page on ``web``."""
    for module in MODULES:
        module.register(web, connection)
