"""An agent of the release before works with today's server, and today's with the server before: nothing that is sent by one
is refused by the other. The pinned schemas are data of their release and are never edited."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_schemas import FROM_AGENT, FROM_SERVER, RELEASED, Schema, refused, schemas

from zhisuan import __version__
from zhisuan.wire.common import Message
from zhisuan.wire.versions import OLDEST_AGENT, agent_version, is_too_old

PINNED = sorted(RELEASED.glob("*.json"))
MAPS = {"env", "facts", "limits", "problems"}
MESSAGES = {m.__name__: m for m in (*FROM_AGENT, *FROM_SERVER)}


def pinned(path: Path) -> dict[str, Schema]:
    found: dict[str, Schema] = json.loads(path.read_text())
    return found


def values(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Anything that a sender of this schema may say; what is optional may be left out."""
    if "$ref" in schema:
        return values(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return st.one_of([values(s, root) for s in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema.get("type"):
        case "object":
            return objects(schema, root)
        case "array":
            most = min(schema.get("maxItems", 2), 2)
            return st.lists(values(schema["items"], root), min_size=schema.get("minItems", 0), max_size=max(most, 1))
        case "integer":
            return st.integers(schema.get("minimum", -(2**40)), schema.get("maximum", 2**40))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string" if schema.get("format") == "date-time":
            return st.sampled_from(("2026-07-01T02:00:00Z", "2026-07-01T10:00:00.123456+08:00"))
        case "string":
            least = schema.get("minLength", 0)
            return st.text(min_size=least, max_size=min(schema.get("maxLength", least + 8), least + 8))
    return st.sampled_from((1, "x", None, [1]))


def objects(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    fields = schema.get("properties")
    if fields is None:
        inner = schema.get("additionalProperties")
        return st.dictionaries(st.text(max_size=4), values(inner if isinstance(inner, dict) else {}, root), max_size=2)
    needed = set(schema.get("required", ()))
    made = {name: values(s, root) for name, s in fields.items()}
    return st.fixed_dictionaries(
        {n: s for n, s in made.items() if n in needed}, optional={n: s for n, s in made.items() if n not in needed}
    )


def with_unknown_fields(value: Any) -> Any:
    """As a newer sender says it: a field more in every object of a message, but for maps whose names are data."""
    if isinstance(value, dict):
        more = {k: v if k in MAPS else with_unknown_fields(v) for k, v in value.items()}
        return more | {"a_field_of_tomorrow": {"x": [1]}}
    return [with_unknown_fields(v) for v in value] if isinstance(value, list) else value


def same(model: type[Message], given: Any) -> Message:
    return model.model_validate_json(json.dumps(given))


@pytest.mark.parametrize("path", PINNED, ids=[p.stem for p in PINNED])
def test_what_an_older_side_says_is_taken_and_what_it_hears_it_takes(path: Path) -> None:
    then, now = pinned(path), schemas()
    problems = []
    for name in MESSAGES:
        if name in then:
            problems += [f"{name}, said then, read now: {p}" for p in refused(now[name], then[f"{name} as written"])]
            problems += [f"{name}, said now, read then: {p}" for p in refused(then[name], now[f"{name} as written"])]
    assert not problems


@pytest.mark.parametrize("path", PINNED, ids=[p.stem for p in PINNED])
@pytest.mark.parametrize("name", list(MESSAGES))
@settings(max_examples=20, database=None)
@given(data=st.data())
def test_each_message_of_a_release_is_understood(path: Path, name: str, data: st.DataObject) -> None:
    """Also with fields left out that have defaults, and with fields that nobody knows."""
    schema = pinned(path)[name]
    said = data.draw(values(schema, schema))
    understood = same(MESSAGES[name], said)
    assert said.keys() <= json.loads(understood.model_dump_json()).keys()
    assert same(MESSAGES[name], with_unknown_fields(said)) == understood


def test_this_version_is_compared_with_the_one_before() -> None:
    """The schemas of each minor version are pinned when it is released: ``python tests/unit/wire/wire_schemas.py``."""
    major, minor = map(int, __version__.split(".")[:2])
    assert any(p.stem.startswith(f"{major}.{minor}.") for p in PINNED), "pin this version's messages"
    assert minor < 2 or any(p.stem.startswith(f"{major}.{minor - 1}.") for p in PINNED)
    assert (major, max(minor - 1, 1)) >= OLDEST_AGENT


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda s: s["required"].append("wait_seconds"), "wait_seconds: is needed"),
        (lambda s: s["properties"]["sequence"].update(type="string"), "takes string"),
        (lambda s: s["properties"]["wait_seconds"].update(maximum=10), "maximum is 10"),
        (lambda s: s["$defs"]["LeasePhase"]["enum"].remove("exited"), "exited"),
        (lambda s: s["$defs"]["LeaseReport"]["properties"]["ended_at"].update(anyOf=[{"type": "null"}]), "ended_at"),
        (lambda s: s.update(additionalProperties=False), "unknown fields"),
    ],
)
def test_the_comparison_finds_what_breaks(change: Any, found: str) -> None:
    """Each of these, done to what a server reads, would turn away an older agent's sync."""
    was = schemas()["SyncRequest"]
    broken = json.loads(json.dumps(was))
    change(broken)
    assert not refused(was, was)
    assert any(found in p for p in refused(broken, was))


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("0.0.9", True),
        ("0.0", True),
        ("0.1.0", False),
        ("0.1.0rc1", False),
        ("0.2.3", False),
        ("10.0.0", False),
        ("nonsense", False),
    ],
)
def test_an_agent_is_too_old_or_not(version: str, old: bool) -> None:
    assert is_too_old(version) is old
    assert agent_version(f"zhisuan-agent/{version} more") == version
    assert agent_version(f"curl/{version}") is None
