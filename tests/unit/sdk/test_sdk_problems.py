"""Errors come through HTTP as what they were."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base import errors
from zhisuan.base.errors import FieldProblem, ZhisuanError
from zhisuan.base.text import Text
from zhisuan.sdk import ApiProblem
from zhisuan.sdk.problems import error_of

WORDS = st.text(max_size=30)
TEXTS = st.builds(Text, WORDS, WORDS.filter(bool))


def tree() -> list[type[ZhisuanError]]:
    """Every class that ``base.errors`` defines below its root: a new one must come through too."""
    found = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ZhisuanError)]
    return [c for c in found if c is not ZhisuanError]


@pytest.mark.parametrize("kind", tree(), ids=lambda c: c.__name__)
@given(what=TEXTS, remedy=TEXTS, problem=TEXTS, code=st.none() | st.just("some_special_code"))
def test_every_error_of_the_tree_comes_through(
    kind: type[ZhisuanError], what: Text, remedy: Text, problem: Text, code: str | None
) -> None:
    sent = kind(what, remedy, code=code, problems=[FieldProblem("a.b", problem)], extra={"n": 1})
    document = json.loads(json.dumps(sent.as_problem("en")))
    got = error_of(kind.status, document)
    assert type(got) is kind
    assert (got.what, got.remedy, got.problems) == (what, remedy, sent.problems)
    assert (got.code, got.extra) == (sent.code, sent.extra)


def test_a_status_without_a_class_keeps_its_number() -> None:
    got = error_of(429, {"title": "too many", "code": "rate_limited", "detail": "Slow down.", "remedy": "Wait."})
    assert isinstance(got, ApiProblem)
    assert got.as_problem()["status"] == 429
    assert got.code == "rate_limited"


def test_a_chinese_reader_gets_chinese_from_str_and_from_the_text() -> None:
    sent = errors.NotFound(Text("Nothing here.", "这里什么也没有。"), Text("Look elsewhere.", "请到别处看看。"))
    got = error_of(404, sent.as_problem("zh"))
    assert "这里什么也没有。" in str(got)
    assert got.what.zh == "这里什么也没有。"
