"""The embedded model server as a process of its own: the scenic-area example's training makes the model, the official
OpenAI client calls it. A second model, untrained and byte-level, never ends by itself: it shows characters of several
tokens and clients that leave."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest

for needed in ("torch", "transformers", "tokenizers"):
    pytest.importorskip(needed, reason=f"{needed} is not installed; pip install 'zhisuan[train]'")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "scenic-qa"
START_SECONDS = 120
CALL_SECONDS = 60
PAIRS = 6
ENDLESS_CONTEXT = 200_000

pytestmark = pytest.mark.slow


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", **changes}


@pytest.fixture(scope="module")
def pairs() -> list[dict[str, str]]:
    lines = (EXAMPLE / "data" / "huangshan.jsonl").read_text(encoding="utf-8").splitlines()[:PAIRS]
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def artefacts(pairs: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the example's two steps leave behind, trained on a few pairs with a smaller model."""
    folder = tmp_path_factory.mktemp("training")
    data, progress = folder / "pairs.jsonl", folder / "progress.jsonl"
    data.write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs), encoding="utf-8")
    other = {"question": "黄山坐落在哪里？", "answer_id": pairs[0]["id"]}
    (folder / "paraphrases.jsonl").write_text(json.dumps(other, ensure_ascii=False) + "\n", encoding="utf-8")
    env = environment(ZHISUAN_ARTIFACTS=str(folder / "out"), ZHISUAN_PROGRESS=str(progress))
    small = ["--layers", "1", "--width", "80", "--rows", "6", "--steps-min", "150", "--steps-max", "150"]
    for step in (
        ["train.py", "--data", str(data), *small],
        ["evaluate.py", "--data", str(data), "--paraphrases", str(folder / "paraphrases.jsonl")],
    ):
        done = subprocess.run(
            [sys.executable, str(EXAMPLE / step[0]), *step[1:]],
            cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    reports = [json.loads(line) for line in progress.read_text(encoding="utf-8").splitlines()]
    fractions = [report["fraction"] for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {"fraction", "message", "loss", "step"} == set(reports[1])
    return folder / "out"


@pytest.fixture(scope="module")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained byte-level model with a long context and no end token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("endless") / "model"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}"
    )
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(alphabet), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=ENDLESS_CONTEXT, bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def server(model: Path, name: str, folder: Path, *options: str) -> Iterator[str]:
    """A running server's address, once it is ready; the process is ended at the end."""
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", "zhisuan.models.serving", "--model", str(model), "--name", name, "--port", "0"]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*command, *options], env=environment(), cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            limit = threading.Timer(START_SECONDS, process.kill)
            limit.start()
            told = process.stdout.readline()
            loaded = process.stdout.readline()
            limit.cancel()
            assert "listening on http://127.0.0.1:" in told, log.read_text()
            assert "loaded" in loaded, log.read_text()
            address = told.split("listening on ")[1].split("/v1")[0]
            with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as probe:
                probe.get(f"{address}/health").raise_for_status()
            yield address
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def scenic_address(artefacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    # The folder of artefacts, as a deployment gets it: the model is the one folder in it that holds one.
    with server(artefacts, "scenic-qa", tmp_path_factory.mktemp("scenic")) as address:
        yield address


@pytest.fixture(scope="module")
def endless_address(endless_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(endless_model, "endless", tmp_path_factory.mktemp("endless"), "--queue", "1") as address:
        yield address


def client_of(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0, timeout=CALL_SECONDS)


@pytest.fixture
def scenic(scenic_address: str) -> Iterator[openai.OpenAI]:
    with client_of(scenic_address) as client:
        yield client


@pytest.fixture
def endless(endless_address: str) -> Iterator[openai.OpenAI]:
    with client_of(endless_address) as client:
        yield client


def ask(text: str) -> list[openai.types.chat.ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_evaluation_says_what_was_learnt(artefacts: Path) -> None:
    report = json.loads((artefacts / "evaluation.json").read_text(encoding="utf-8"))
    assert report["exact_answer_rate"] == "1.0000"
    assert (report["trained"]["asked"], report["trained"]["exact"]) == (PAIRS, PAIRS)
    assert report["paraphrases"]["asked"] == 1


def test_the_model_is_listed(scenic: openai.OpenAI) -> None:
    assert [model.id for model in scenic.models.list()] == ["scenic-qa"]
    assert scenic.models.retrieve("scenic-qa").owned_by == "zhisuan"


def test_every_trained_question_is_answered_whole_and_streamed(
    scenic: openai.OpenAI, pairs: list[dict[str, str]]
) -> None:
    for pair in pairs:
        whole = scenic.chat.completions.create(model="scenic-qa", messages=ask(pair["question"]))
        assert whole.choices[0].message.content == pair["answer"]
        assert whole.choices[0].finish_reason == "stop"
        chunks = list(
            scenic.chat.completions.create(
                model="scenic-qa",
                messages=ask(pair["question"]),
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        assert chunks[0].choices[0].delta.role == "assistant"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == pair["answer"]
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].choices == []
        # One token a character; the prompt has a start and an answer token more.
        for usage in (whole.usage, chunks[-1].usage):
            assert usage is not None
            assert usage.prompt_tokens == len(pair["question"]) + 2
            assert usage.completion_tokens == len(pair["answer"])
            assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_system_messages_and_earlier_turns_do_not_disturb(scenic: openai.OpenAI, pairs: list[dict[str, str]]) -> None:
    talk: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "system", "content": "你是一位导游。"},
        {"role": "user", "content": pairs[0]["question"]},
        {"role": "assistant", "content": pairs[0]["answer"]},
        {"role": "user", "content": [{"type": "text", "text": pairs[1]["question"]}]},
    ]
    answer = scenic.chat.completions.create(model="scenic-qa", messages=talk)
    assert answer.choices[0].message.content == pairs[1]["answer"]


def test_limits_stops_and_completions(scenic: openai.OpenAI, pairs: list[dict[str, str]]) -> None:
    pair = pairs[0]
    short = scenic.chat.completions.create(model="scenic-qa", messages=ask(pair["question"]), max_tokens=4)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == (pair["answer"][:4], "length")
    stop = pair["answer"][5:7]
    stopped = scenic.chat.completions.create(model="scenic-qa", messages=ask(pair["question"]), stop=stop)
    assert stopped.choices[0].message.content == pair["answer"][: pair["answer"].index(stop)]
    prompt = f"<|bos|>{pair['question']}<|answer|>"
    plain = scenic.completions.create(model="scenic-qa", prompt=prompt, max_tokens=100)
    assert plain.choices[0].text == pair["answer"]


def test_errors_are_those_that_the_client_knows(scenic: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        scenic.chat.completions.create(model="other", messages=ask("黄山"))
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        scenic.chat.completions.create(model="scenic-qa", messages=ask("山" * 200))
    assert (long.value.code, long.value.param) == ("context_length_exceeded", "messages")
    with pytest.raises(openai.BadRequestError) as wrong:
        scenic.chat.completions.create(model="scenic-qa", messages=ask("黄山"), temperature=9)
    assert wrong.value.param == "temperature"


def test_sampling_repeats_with_a_seed_and_streams_the_same_text(endless: openai.OpenAI) -> None:
    def sampled(seed: int) -> openai.types.chat.ChatCompletion:
        return endless.chat.completions.create(
            model="endless", messages=ask("云海"), temperature=1.0, top_p=0.9, seed=seed, max_tokens=200
        )

    first, again, other = sampled(1), sampled(1), sampled(2)
    text = first.choices[0].message.content
    assert text == again.choices[0].message.content
    assert text != other.choices[0].message.content
    chunks = endless.chat.completions.create(
        model="endless", messages=ask("云海"), temperature=1.0, top_p=0.9, seed=1, max_tokens=200, stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert first.usage is not None
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (len("云海".encode()), 200)


def assert_free(client: openai.OpenAI) -> None:
    """One answer is made at a time: this one comes only if the endless one before it has been given up."""
    answer = client.chat.completions.create(model="endless", messages=ask("a"), max_tokens=1)
    assert answer.choices[0].finish_reason == "length"


def test_generation_stops_when_a_streaming_client_leaves(endless: openai.OpenAI) -> None:
    stream = endless.chat.completions.create(model="endless", messages=ask("a"), stream=True)
    next(iter(stream))
    stream.close()
    assert_free(endless)


def test_generation_stops_when_a_waiting_client_leaves(endless: openai.OpenAI) -> None:
    with pytest.raises(openai.APITimeoutError):
        endless.with_options(timeout=1.0).chat.completions.create(model="endless", messages=ask("a"))
    assert_free(endless)


def test_a_full_queue_is_told_with_the_time_to_come_back(endless: openai.OpenAI) -> None:
    running = endless.chat.completions.create(model="endless", messages=ask("a"), stream=True)
    chunks = iter(running)
    while not (next(chunks).choices[0].delta.content):
        pass
    waiting = endless.chat.completions.create(model="endless", messages=ask("b"), stream=True)
    with pytest.raises(openai.InternalServerError) as full:
        endless.chat.completions.create(model="endless", messages=ask("c"), max_tokens=1)
    assert (full.value.status_code, full.value.code) == (503, "queue_full")
    assert int(full.value.response.headers["retry-after"]) >= 1
    running.close()
    waiting.close()
    assert_free(endless)


def test_a_model_that_cannot_be_loaded_ends_the_server_with_the_reason(tmp_path: Path, artefacts: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in (artefacts / "model").iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[: 100 if file.suffix == ".safetensors" else None])
    done = subprocess.run(
        [sys.executable, "-m", "zhisuan.models.serving", "--model", str(broken), "--port", "0"],
        env=environment(), capture_output=True, text=True, timeout=START_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{broken} cannot be loaded as a causal language model" in done.stderr
