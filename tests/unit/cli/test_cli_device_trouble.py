"""A site page with devices that are not to be had: why, in the reader's language."""

import copy
from collections.abc import Callable

import pytest
from cli_canned import SITE, CannedPlatform
from typer.testing import Result

TROUBLE = {
    "source": "cnmon", "code": "unknown_format",
    "what": {"en": "cnmon 9.1 answered in a form that is not known here.", "zh": "cnmon 9.1 的输出格式无法识别。"},
    "remedy": {"en": "Report its output.", "zh": "请反馈其输出。"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            ["in use by others", "! A100 80G: Held by others. 被占用。", "cnmon 9.1 answered", "Report its output."],
        ),
        ("zh", ["被外部占用", "! A100 80G: Held by others. 被占用。", "cnmon 9.1 的输出格式无法识别。 请反馈其输出。"]),
    ],
)
def test_trouble_stands_under_the_devices(
    run: Callable[..., Result], platform: CannedPlatform, language: str, words: list[str]
) -> None:
    site = copy.deepcopy(platform.answers[f"GET /sites/{SITE}"])
    node = site["nodes"][0]
    node["facts"] = {"problems": [TROUBLE]}
    card = next(d for d in node["devices"] if d["kind"] == "accelerator")
    card["health"], card["note"] = "occupied", "Held by others. 被占用。"
    platform.answers[f"GET /sites/{SITE}"] = site
    shown = " ".join(run("site", "show", SITE, lang=language).stdout.split())
    for word in words:
        assert word in shown
