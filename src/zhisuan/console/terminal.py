"""A terminal in a page: the browser draws; keys and output go through this server, so that no page but the console's holds a credential."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from nicegui import background_tasks, ui

from zhisuan.base.errors import ZhisuanError
from zhisuan.console.reader import Reader
from zhisuan.console.text_workspaces import Space
from zhisuan.console.tree import hold

WRITE_SECONDS = 60.0
OPTIONS = {"cursorBlink": True, "fontSize": 13, "scrollback": 5000, "theme": {"background": "#101826"}}
Write = Callable[[str], Awaitable[None]]


class Session(Protocol):
    """What runs at the other end: a workspace's terminal, or a shell beside work."""

    def type(self, text: str) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...

    async def run(self) -> int: ...


def terminal(reader: Reader, begin: Callable[[Write], Session], tell: Callable[[str], object], ended: str) -> Callable[[], None]:
    """Draw one here, joined to what ``begin`` makes of a way to write to it. ``tell`` is told in the reader's words how it stands; ``ended``
    is the text for its end, with ``status``. Returns what lets go of it; the page's end does so too."""
    screen = hold(lambda: ui.xterm(OPTIONS))
    screen.classes("terminal")

    async def write(text: str) -> None:
        await screen.run_method("write", text, timeout=WRITE_SECONDS)

    session = begin(write)
    screen.on_data(lambda event: session.type(event.data))
    screen.on_resize(lambda event: session.resize(event.rows, event.cols))
    tasks: list[asyncio.Task[None]] = []

    async def run() -> None:
        screen.fit()
        with contextlib.suppress(TimeoutError):  # the page is gone, or takes nothing any more
            try:
                tell(ended.format(status=await session.run()))
            except ZhisuanError as error:
                tell(error.what.in_language(reader.say.language))

    def start() -> None:
        if not tasks:
            tasks.append(background_tasks.create(run(), name="terminal"))

    def let_go() -> None:
        for task in tasks:
            task.cancel()

    client = ui.context.client
    client.on_delete(let_go)
    if client.has_socket_connection:
        start()
    else:
        client.on_connect(start)
    return let_go


def line_words(reader: Reader, tell: Callable[[str], object]) -> Callable[[bool], object]:
    """Says whether the connection stands."""
    return lambda stands: tell(reader.say(Space.CONNECTED if stands else Space.LOST))
