"""The caller's terminal, joined to one in a workspace.

Keys go as they are typed, Ctrl-C too; ``~.`` at the beginning of a line leaves and lets the shell go on. Without a terminal, input
comes from a pipe and its end is the shell's.
"""

import asyncio
import codecs
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

from zhisuan.cli.text import t
from zhisuan.sdk.terminal import Terminal

READ_BYTES = 65_536
END_OF_INPUT = "\x04"


class Leaving:
    """Watches what is typed for ``~.`` after a line's beginning; ``~~`` there is one tilde."""

    def __init__(self) -> None:
        self._at_start = True
        self._tilde = False

    def passed(self, text: str) -> tuple[str, bool]:
        """What of ``text`` goes on, and whether to leave."""
        out: list[str] = []
        for letter in text:
            if self._tilde:
                self._tilde = False
                if letter == ".":
                    return "".join(out), True
                out.append("~" if letter == "~" else "~" + letter)
            elif letter == "~" and self._at_start:
                self._tilde = True
                continue
            else:
                out.append(letter)
            self._at_start = letter in "\r\n"
        return "".join(out), False


def join(url: str, key: str, name: str) -> int | None:
    """Join until the shell ends; its exit status, or None for a person who left it running."""
    return asyncio.run(_join(url, key, name))


async def _join(url: str, key: str, name: str) -> int | None:
    terminal = Terminal(url, key, name, _show, _tell())
    with _raw() as raw:
        loop = asyncio.get_running_loop()
        if raw:
            loop.add_signal_handler(signal.SIGWINCH, _resize, terminal)
        _resize(terminal)
        running = asyncio.create_task(terminal.run())
        left = asyncio.Event()
        if raw:
            loop.add_reader(sys.stdin.fileno(), _read, terminal, Leaving(), left)
        else:
            # A file cannot be waited for as a terminal can; the thread ends with the program.
            Thread(target=_pipe, args=(terminal, loop), daemon=True).start()
        leaving = asyncio.create_task(left.wait())
        try:
            done, _ = await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running in done else None
        finally:
            if raw:
                loop.remove_reader(sys.stdin.fileno())
            for task in (running, leaving):
                task.cancel()
            await asyncio.gather(running, leaving, return_exceptions=True)


async def _show(text: str) -> None:
    data = text.encode("utf-8", "replace")
    sys.stdout.flush()
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


def _tell() -> Callable[[bool], None]:
    """Say once that the connection is lost, and nothing before it stood for the first time or when it is back."""
    stood = [False, False]

    def tell(stands: bool) -> None:
        if stood[0] and stood[1] and not stands:
            lost = t("the connection is lost and sought again; ~. leaves", "连接已断开，正在重连；输入 ~. 可离开")
            sys.stderr.write(f"\r\n[{lost}]\r\n")
            sys.stderr.flush()
        stood[0], stood[1] = stood[0] or stands, stands

    return tell


def _resize(terminal: Terminal) -> None:
    """The size as the terminal itself says it: what LINES and COLUMNS say stays as it was when the window changes."""
    with contextlib.suppress(OSError):  # not a terminal: the size it has stays
        size = os.get_terminal_size(sys.stdout.fileno())
        if size.lines and size.columns:
            terminal.resize(size.lines, size.columns)


_decoder = codecs.getincrementaldecoder("utf-8")("replace")


def _read(terminal: Terminal, leaving: Leaving, left: asyncio.Event) -> None:
    text, leave = leaving.passed(_decoder.decode(os.read(sys.stdin.fileno(), READ_BYTES)))
    if text:
        terminal.type(text)
    if leave:
        left.set()


def _pipe(terminal: Terminal, loop: asyncio.AbstractEventLoop) -> None:
    """Send what a pipe or a file holds, and its end as the end of the shell's input."""
    with contextlib.suppress(RuntimeError):  # the loop is over: the shell ended first
        while data := os.read(sys.stdin.fileno(), READ_BYTES):
            loop.call_soon_threadsafe(terminal.type, _decoder.decode(data))
        loop.call_soon_threadsafe(terminal.type, END_OF_INPUT)


@contextmanager
def _raw() -> Iterator[bool]:
    """Every key as it is; the terminal is put back as it was, whatever happens. False where there is none."""
    if not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
