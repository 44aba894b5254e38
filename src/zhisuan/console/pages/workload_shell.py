"""A shell beside running work, on its page."""

import codecs
from collections.abc import Callable

from zhisuan.console.parts import Live, button, card, command, div, el, live, place
from zhisuan.console.reader import Reader
from zhisuan.console.show import attempt
from zhisuan.console.terminal import Session, Write, terminal
from zhisuan.console.text_shells import Beside
from zhisuan.sdk.shell import Shell, shell_url


class ShellCard:
    """Shown while the work runs, to who may enter it. Nothing is opened before it is asked for: an opening is written down."""

    def __init__(self, reader: Reader, workload_id: str) -> None:
        self.reader = reader
        self.workload_id = workload_id
        self._stands = False
        self._let_go: Callable[[], None] | None = None
        self.place = place()
        self.line: Live | None = None

    def fill(self, state: str, kind: str) -> None:
        stands = state == "running" and kind != "workspace" and self.reader.may("org:workload:enter")
        if stands == self._stands:
            return
        self._stands = stands
        if not stands:
            self._tell(self.reader.say(Beside.OVER))
            return
        say = self.reader.say
        self.place.clear()
        with self.place, card(say(Beside.TITLE)) as head:
            with head:
                self.line = live("span", "", "note", aria_live="polite")
                div("spacer")
                button(say(Beside.OPEN), self._open, "small")
            self.box = place()
            with self.box:
                el("p", say(Beside.ABOUT), "muted")
                command(f"zhisuan jobs shell {self.workload_id}", say)

    def _tell(self, text: str) -> None:
        if self.line is not None:
            self.line.set_text(text)

    async def _open(self) -> None:
        if self._stands:
            await attempt(self._begin(), self.reader.say)

    async def _begin(self) -> None:
        platform = await self.reader.api.get("/platform")
        url = shell_url(str(platform["gateway_url"]), self.workload_id, 0)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")

        def begin(write: Write) -> Session:
            async def show(data: bytes) -> None:
                if text := decoder.decode(data):
                    await write(text)

            return Shell(url, self.reader.api.secret or "", show)

        if self._let_go is not None:
            self._let_go()
        self.box.clear()
        self._tell("")
        with self.box:
            self._let_go = terminal(self.reader, begin, self._tell, self.reader.say(Beside.ENDED))
