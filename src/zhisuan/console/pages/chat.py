"""The box in which a model can be tried."""

from zhisuan.console.client import ApiAway, ApiProblem
from zhisuan.console.format import count
from zhisuan.console.gateway import GatewayAway, GatewayRefused, chat
from zhisuan.console.parts import Live, button, card, copy_button, div, el, field, form, live, notice, place, tell
from zhisuan.console.reader import Reader
from zhisuan.console.session import Session
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_models import Model

TURNS_KEPT = 12


class ChatBox:
    """A conversation with one model through the gateway, with a key that stays on the server."""

    def __init__(self, reader: Reader, model: str) -> None:
        self._reader = reader
        self._model = model
        self._base_url: str | None = None
        self._served: object = self
        self._said: list[dict[str, str]] = []
        self._busy = False
        with card(reader.say(Model.CHAT)):
            self._box = place("chat")

    def serve(self, base_url: str | None) -> None:
        """Say where the model is served now; None while it is not."""
        if base_url == self._served:
            return
        self._served = self._base_url = base_url
        self._build()

    def _build(self, fresh_key: str | None = None) -> None:
        self._box.clear()
        with self._box:
            if self._base_url is None:
                el("p", self._reader.say(Model.CHAT_NOT_READY), "muted")
            elif Session().model_key is None:
                self._ask_key()
            else:
                self._talk(fresh_key)

    def _ask_key(self) -> None:
        say = self._reader.say
        el("p", say(Model.CHAT_KEY), "strong")
        el("p", say(Model.CHAT_KEY_TEXT), "muted")
        button(say(Model.MAKE_KEY), self._make_key, "primary")
        with form(self._use_key, "inline-form"):
            field("key", say(Model.PASTE_KEY), type="password", required=True, maxlength="200", autocomplete="off")
            el("button", say(Model.USE_KEY), "button", type="submit")

    async def _make_key(self) -> None:
        say = self._reader.say
        try:
            made = await self._reader.api.post("/keys", {"name": say(Model.KEY_NAME)})
        except (ApiProblem, ApiAway) as error:
            tell(str(error), bad=True)
            return
        Session().model_key = str(made["secret"])
        self._build(str(made["secret"]))

    def _use_key(self, sent: dict[str, str]) -> None:
        Session().model_key = sent["key"].strip()
        self._build()

    def _forget_key(self) -> None:
        Session().model_key = None
        self._said.clear()
        self._build()

    def _talk(self, fresh_key: str | None) -> None:
        say = self._reader.say
        if fresh_key:
            with notice("run", say(Model.KEY_MADE)), div("command"):
                el("code", fresh_key, "secret")
                copy_button(fresh_key, say(Frame.COPY))
        self._turns = place("turns", role="log", aria_live="polite", aria_label=say(Model.CHAT))
        for turn in self._said:
            self._bubble(turn["role"], turn["content"])
        with form(self._send, "chat-form", reset=True):
            el("input", "", "input", name="text", aria_label=say(Model.SAY), placeholder=say(Model.SAY), required=True,
               maxlength="2000", autocomplete="off")  # fmt: skip
            el("button", say(Model.SEND), "button primary", type="submit")
        button(say(Model.FORGET_KEY), self._forget_key, "small")

    def _bubble(self, role: str, text: str) -> Live:
        with self._turns, div(f"turn turn-{role}"):
            el("span", self._reader.say(Model.YOU) if role == "user" else self._model, "hint")
            return live("p", text, "turn-text")

    async def _send(self, sent: dict[str, str]) -> None:
        text, key, base_url = sent["text"].strip(), Session().model_key, self._base_url
        if not text or self._busy or key is None or base_url is None:
            return
        self._busy = True
        self._said.append({"role": "user", "content": text})
        self._bubble("user", text)
        try:
            await self._answer(base_url, key, self._bubble("assistant", "…"))
        finally:
            self._busy = False

    async def _answer(self, base_url: str, key: str, shown: Live) -> None:
        say = self._reader.say
        whole, counted = "", ""
        try:
            async for piece in chat(base_url, key, self._model, self._said[-TURNS_KEPT:]):
                whole += piece.text
                if piece.output_tokens is not None and piece.input_tokens is not None:
                    counted = say(Model.TOKENS_USED, input=count(piece.input_tokens), output=count(piece.output_tokens))
                shown.set_text(whole or "…")
        except GatewayRefused as error:
            counted = say(Model.NO_ANSWER, detail=str(error))
        except GatewayAway:
            counted = say(Model.NO_ANSWER, detail=say(Model.GATEWAY_AWAY))
        if whole:
            self._said.append({"role": "assistant", "content": whole})
        else:
            self._said.pop()
        shown.set_text(whole or say(Model.EMPTY_ANSWER))
        if counted:
            with self._turns:
                el("p", counted, "hint")
