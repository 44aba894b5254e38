"""The official ``openai`` client against the gateway: list, chat, chat streamed."""

from pathlib import Path
from typing import Any

import orjson

from zhisuan.app.quickstart.screen import Screen
from zhisuan.base.text import Text

QUESTIONS = 3


def ask_the_model(base_url: str, key: str, model: str, example: Path, show: Screen) -> dict[str, Any]:
    """Ask a few trained questions, not streamed and streamed; what was asked, answered and counted."""
    from openai import OpenAI

    asked = [
        orjson.loads(line) for line in (example / "data" / "huangshan.jsonl").read_bytes().splitlines()[:QUESTIONS]
    ]
    with OpenAI(base_url=base_url, api_key=key, max_retries=2, timeout=60) as client:
        names = [m.id for m in client.models.list()]
        show.good(Text("models at /v1", "/v1 上的模型"), ", ".join(names))
        turns = []
        for number, pair in enumerate(asked):
            streamed = number % 2 == 1
            turn = _streamed(client, model, pair["question"]) if streamed else _whole(client, model, pair["question"])
            turns.append(
                {"question": pair["question"], "exact": turn["answer"] == pair["answer"], "streamed": streamed, **turn}
            )
            show.fact(Text("asked", "问"), pair["question"])
            show.good(
                Text("answer (streamed)" if streamed else "answer", "答（流式）" if streamed else "答"), turn["answer"]
            )
    return {"base_url": base_url, "models": names, "turns": turns}


def _whole(client: Any, model: str, question: str) -> dict[str, Any]:
    made = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], temperature=0)
    return {
        "answer": made.choices[0].message.content,
        "input_tokens": made.usage.prompt_tokens,
        "output_tokens": made.usage.completion_tokens,
    }


def _streamed(client: Any, model: str, question: str) -> dict[str, Any]:
    answer, usage = "", None
    chunks = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], temperature=0, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            answer += chunk.choices[0].delta.content
        usage = chunk.usage or usage
    return {
        "answer": answer, "input_tokens": usage.prompt_tokens if usage else 0, "output_tokens": usage.completion_tokens if usage else 0,
    }  # fmt: skip
