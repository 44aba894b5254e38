"""Shows how far a transfer is: one line that moves on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zhisuan.cli.text import t

if TYPE_CHECKING:
    from zhisuan.sdk.progress import Progress, Watcher

SHOW_EVERY_SECONDS = 0.2
LINE_EVERY_SECONDS = 10.0


def size_text(count: int) -> str:
    """Bytes as people say them, in powers of 1000, with one decimal."""
    tenths, unit = count * 10, "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if tenths < 10_000:
            break
        tenths, unit = tenths // 1000, bigger
    return f"{count} B" if unit == "B" else f"{tenths // 10}.{tenths % 10} {unit}"


class _Line:
    def __init__(self, said: str) -> None:
        self._said = said
        self._began = self._shown = time.monotonic()
        self._first: int | None = None
        self._drawn = False

    def __call__(self, now: "Progress") -> None:
        at = time.monotonic()
        if self._first is None:
            self._first = now.bytes_done
        live = sys.stderr.isatty()
        if at - self._shown < (SHOW_EVERY_SECONDS if live else LINE_EVERY_SECONDS):
            return
        self._shown = at
        line = self._text(now, at)
        sys.stderr.write(f"\r{line}\x1b[K" if live else line + "\n")
        sys.stderr.flush()
        self._drawn = live

    def _text(self, now: "Progress", at: float) -> str:
        moved, seconds = now.bytes_done - (self._first or 0), at - self._began
        rate = int(moved / seconds) if seconds > 0 else 0
        left = (now.bytes_total - now.bytes_done) // rate if rate > 0 else None
        remaining = "" if left is None else t(f", {left // 60}:{left % 60:02} left", f"，剩余 {left // 60}:{left % 60:02}")
        return t(
            f"{self._said} {size_text(now.bytes_done)} of {size_text(now.bytes_total)}, file {now.files_done} of {now.files_total}, {size_text(rate)}/s{remaining}",
            f"{self._said} {size_text(now.bytes_done)} / {size_text(now.bytes_total)}，文件 {now.files_done} / {now.files_total}，{size_text(rate)}/秒{remaining}",
        )

    def end(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@contextmanager
def shown(said: str, *, quiet: bool = False) -> "Iterator[Watcher | None]":
    """A watcher for a transfer. After Ctrl-C it says that the next try goes on from here."""
    if quiet:
        yield None
        return
    line = _Line(said)
    try:
        yield line
    except KeyboardInterrupt:
        line.end()
        sys.stderr.write(
            t("Stopped. The same command goes on where this one was.", "已停止。再次执行同一命令会从断点继续。") + "\n"
        )
        raise
    finally:
        line.end()
