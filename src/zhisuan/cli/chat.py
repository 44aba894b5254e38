"""``chat``: talk to a model through the gateway, as any OpenAI client would.

The gateway speaks the OpenAI protocol; this uses it over plain HTTP, because loading the official client takes longer than
most answers.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

from zhisuan.base.errors import NotAuthenticated, NotFound, PaymentRequired, Unavailable, ZhisuanError
from zhisuan.base.text import Text
from zhisuan.cli.errors import usage_error
from zhisuan.cli.output import Screen, print_json
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.session import access_now, connect_public
from zhisuan.cli.text import arg, language, opt, t

if TYPE_CHECKING:
    import httpx

READ_SECONDS = 300.0
BYE = ("/exit", "/quit")
ERRORS: dict[int, type[ZhisuanError]] = {401: NotAuthenticated, 402: PaymentRequired, 404: NotFound, 503: Unavailable}


@dataclass(slots=True)
class Answer:
    """What came of one question, filled as it comes."""

    text: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)


def chat(
    model: Annotated[str, arg("Name of a served model.", "已部署的模型名称。", metavar="MODEL")],
    message: Annotated[
        str | None,
        arg("What to say; without it a conversation begins.", "要说的话；不填则进入对话。", metavar="MESSAGE"),
    ] = None,
    system: Annotated[
        str | None, opt("--system", metavar="TEXT", en="Instruction that goes before.", zh="系统提示词。")
    ] = None,
    max_tokens: Annotated[
        int | None, opt("--max-tokens", metavar="N", min=1, en="Longest answer, in tokens.", zh="回答的最大 Token 数。")
    ] = None,
    temperature: Annotated[
        str | None, opt("--temperature", metavar="X", en="Randomness, such as 0.7.", zh="随机性，例如 0.7。")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    talk = _Talk(model, system, max_tokens, temperature)
    try:
        if message is not None:
            answer = talk.say(message, quiet=as_json)
            if as_json:
                print_json(
                    {
                        "model": model,
                        "message": answer.text,
                        "finish_reason": answer.finish_reason,
                        "usage": answer.usage,
                    }
                )
            return
        _converse(talk, as_json)
    finally:
        talk.close()


def _converse(talk: "_Talk", as_json: bool) -> None:
    interactive = sys.stdin.isatty()
    if interactive and not as_json:
        Screen().note(t("An empty line or /exit ends the conversation.", "输入空行或 /exit 结束对话。"))
    turns = []
    while True:
        if interactive:
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        said = line.strip()
        if not said or said in BYE:
            break
        answer = talk.say(said, quiet=as_json)
        turns.append({"user": said, "assistant": answer.text, "usage": answer.usage})
    if as_json:
        print_json({"model": talk.model, "turns": turns})


class _Talk:
    """One conversation: what was said goes along with each question."""

    def __init__(self, model: str, system: str | None, max_tokens: int | None, temperature: str | None) -> None:
        import httpx

        key = access_now().require_key()
        self.model = model
        self._options: dict[str, Any] = {"max_tokens": max_tokens} if max_tokens else {}
        if temperature is not None:
            self._options["temperature"] = _number(temperature)
        with connect_public() as client:
            gateway = client.platform().gateway_url
        if not gateway:
            raise Unavailable(
                Text("The platform has no model gateway.", "平台没有模型网关。"),
                Text("Ask its operator.", "请联系平台运营方。"),
            )
        self._url = gateway.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
        self._said = [{"role": "system", "content": system}] if system else []
        near = httpx.URL(self._url).host in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}", "Accept-Language": language()},
            timeout=httpx.Timeout(30.0, read=READ_SECONDS),
            trust_env=not near,
            transport=transport(),
        )

    def close(self) -> None:
        self._http.close()

    def say(self, message: str, *, quiet: bool) -> Answer:
        """Ask, show the answer as it comes, and keep both for the next question."""
        self._said.append({"role": "user", "content": message})
        answer = Answer()
        for piece in self._pieces(answer):
            answer.text += piece
            if not quiet:
                sys.stdout.write(piece)
                sys.stdout.flush()
        self._said.append({"role": "assistant", "content": answer.text})
        if not quiet:
            sys.stdout.write("\n")
            used = answer.usage
            told = t(
                f"{used.get('prompt_tokens', '?')} tokens in, {used.get('completion_tokens', '?')} out",
                f"输入 {used.get('prompt_tokens', '?')} Token，输出 {used.get('completion_tokens', '?')} Token",
            )
            Screen().note(told)
        return answer

    def _pieces(self, answer: Answer) -> Iterator[str]:
        import httpx

        from zhisuan.sdk.problems import not_reachable
        from zhisuan.sdk.sse import events_of

        body = {
            "model": self.model, "messages": self._said, "stream": True, "stream_options": {"include_usage": True}, **self._options,
        }  # fmt: skip
        try:
            with self._http.stream("POST", self._url, json=body) as reply:
                if not reply.is_success:
                    reply.read()
                    raise _gateway_error(reply)
                for event in events_of(reply.iter_bytes()):
                    if event.data == "[DONE]":
                        return
                    yield from _read_chunk(json.loads(event.data), answer)
            raise Unavailable(
                Text("The answer broke off before its end.", "回答未结束就中断了。"),
                Text("Ask again.", "请重试。"),
                code="cut_off",
            )
        except httpx.TransportError as error:
            raise not_reachable(self._url, error) from error


def transport() -> "httpx.BaseTransport | None":
    """How the gateway is reached; None is the network."""
    return None


def _number(text: str) -> float:
    """Raises ``InvalidInput`` for text that is no finite number."""
    try:
        value = float(text)
        if not isfinite(value):
            raise ValueError
    except ValueError as error:
        raise usage_error(
            f"--temperature {text}: a number such as 0.7.", f"--temperature {text}：须为数字，例如 0.7。"
        ) from error
    return value


def _read_chunk(chunk: dict[str, Any], answer: Answer) -> Iterator[str]:
    if "error" in chunk:
        told = str(chunk["error"].get("message", chunk["error"]))
        raise Unavailable(Text(told, told), Text("Ask again.", "请重试。"), code="upstream_failed")
    answer.usage = chunk.get("usage") or answer.usage
    for choice in chunk.get("choices") or ():
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        if piece := (choice.get("delta") or {}).get("content"):
            yield piece


def _gateway_error(reply: "httpx.Response") -> ZhisuanError:
    try:
        told = reply.json()["error"]
        message, code = str(told["message"]), told.get("code")
    except (ValueError, KeyError, TypeError):
        message, code = reply.text[:200].strip() or reply.reason_phrase, None
    found = ERRORS.get(reply.status_code, ZhisuanError)
    return found(
        Text(message, message),
        Text(
            "'zhisuan models' lists what is served and whether it is ready.",
            "zhisuan models 可查看已部署的模型及其状态。",
        ),
        code=str(code) if code else None,
    )
