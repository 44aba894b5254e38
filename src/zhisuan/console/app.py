"""Putting the console on the server's application."""

from pathlib import Path

from fastapi import FastAPI
from starlette.routing import Match, Mount
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
NOT_OURS = ("/api", "/wire")


class ConsoleMount(Mount):
    """Everything but the interfaces: a wrong method or address under ``/api`` stays the interface's to answer."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = str(scope.get("path", ""))
        if any(path == root or path.startswith(f"{root}/") for root in NOT_OURS):
            return Match.NONE, {}
        return super().matches(scope)


def mount(app: FastAPI, *, api_url: str, storage_secret: str) -> None:
    """Serve the console on ``app``. It speaks to the platform at ``api_url`` over HTTP, like any other client.

    ``storage_secret`` signs the cookie that names a browser's storage on the server. Once in a process.
    """
    from nicegui import app as web
    from nicegui import ui

    from zhisuan.console.client import Connection
    from zhisuan.console.guard import Guard
    from zhisuan.console.pages import register

    folder = type(web.storage).path
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    web.add_static_files("/console-static", STATIC, max_cache_age=3600)
    ui.add_head_html(_head(), shared=True)
    connection = Connection(api_url)
    register(web, connection)
    web.on_shutdown(connection.close)
    ui.run_with(
        app, title="zhisuan", favicon=STATIC / "favicon.svg", tailwind=False, binding_refresh_interval=None,
        reconnect_timeout=20.0, storage_secret=storage_secret, show_welcome_message=False,
        session_middleware_kwargs={"same_site": "lax", "session_cookie": "zhisuan_console", "max_age": 14 * 86400},
    )  # fmt: skip
    web.add_middleware(Guard)
    app.router.routes[-1] = ConsoleMount("/", app=web)


def _head() -> str:
    marks = {name: int((STATIC / name).stat().st_mtime) for name in ("console.css", "console.js")}
    return (
        f'<link rel="stylesheet" href="/console-static/console.css?{marks["console.css"]}">'
        f'<script defer src="/console-static/console.js?{marks["console.js"]}"></script>'
    )
