"""The wire's messages as JSON schemas, and whether one schema takes all that another lets through.

``python tests/unit/wire/wire_schemas.py`` writes those of the version that is about to be released.
"""

import json
from pathlib import Path
from typing import Any

from zhisuan import __version__
from zhisuan.wire import joining, site
from zhisuan.wire.common import Accepted, Message

RELEASED = Path(__file__).parent / "released"
FROM_AGENT: tuple[type[Message], ...] = (
    joining.HelloRequest, joining.SiteJoinRequest, joining.CredentialRequest, site.Inventory, site.SyncRequest,
    site.UsageBatch, site.LogChunk,
)  # fmt: skip
FROM_SERVER: tuple[type[Message], ...] = (
    joining.HelloAnswer, site.JoinAnswer, joining.SiteStanding, site.SyncAnswer, Accepted, site.LogAnswer,
    site.ArtefactAnswer,
)  # fmt: skip
Schema = dict[str, Any]
LOWER, UPPER = (
    ("minimum", "exclusiveMinimum", "minLength", "minItems"),
    ("maximum", "exclusiveMaximum", "maxLength", "maxItems"),
)


def schemas() -> dict[str, Schema]:
    """Today's. What the agent reads may lack whatever has a default; what the server writes has all."""
    made = {m.__name__: m.model_json_schema(mode="validation") for m in (*FROM_AGENT, *FROM_SERVER)}
    return made | {
        f"{m.__name__} as written": m.model_json_schema(mode="serialization") for m in (*FROM_AGENT, *FROM_SERVER)
    }


def refused(reader: Schema, writer: Schema) -> list[str]:
    """What ``writer`` lets a sender say and ``reader`` would not take, each with its place."""
    return _refused("", reader, reader, writer, writer)


def _refused(where: str, reader: Schema, read_root: Schema, writer: Schema, write_root: Schema) -> list[str]:
    reader, writer = _resolved(reader, read_root), _resolved(writer, write_root)
    said = writer.get("anyOf", [writer])
    taken = reader.get("anyOf", [reader])
    if len(said) > 1 or len(taken) > 1:
        problems = []
        for one in said:
            tries = [_refused(where, other, read_root, one, write_root) for other in taken]
            problems += [] if any(not t for t in tries) else min(tries, key=len)
        return problems
    return _refused_one(where, reader, read_root, writer, write_root)


def _refused_one(where: str, reader: Schema, read_root: Schema, writer: Schema, write_root: Schema) -> list[str]:
    problems = [*_types(where, reader, writer), *_limits(where, reader, writer)]
    mine, theirs = reader.get("properties", {}), writer.get("properties", {})
    for name in reader.get("required", []):
        if name not in writer.get("required", []):
            problems.append(f"{where}.{name}: is needed, and need not be there")
    for name in mine.keys() & theirs.keys():
        problems += _refused(f"{where}.{name}", mine[name], read_root, theirs[name], write_root)
    for part in ("items", "additionalProperties"):
        if isinstance(reader.get(part), dict) and isinstance(writer.get(part), dict):
            problems += _refused(f"{where}[]", reader[part], read_root, writer[part], write_root)
    if reader.get("additionalProperties") is False:
        problems.append(f"{where}: takes no unknown fields")
    return problems


def _types(where: str, reader: Schema, writer: Schema) -> list[str]:
    if reader.get("type") not in (None, writer.get("type")):
        return [f"{where}: takes {reader.get('type')}, not {writer.get('type')}"]
    if reader.get("format") not in (None, writer.get("format")):
        return [f"{where}: takes {reader.get('format')}, not {writer.get('format')}"]
    taken, said = _values(reader), _values(writer)
    if taken is not None and (said is None or said - taken):
        return [f"{where}: takes {sorted(taken)}, not {'anything' if said is None else sorted(said - taken)}"]
    return []


def _values(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None


def _limits(where: str, reader: Schema, writer: Schema) -> list[str]:
    narrow = [k for k in LOWER if k in reader and writer.get(k, float("-inf")) < reader[k]]
    narrow += [k for k in UPPER if k in reader and writer.get(k, float("inf")) > reader[k]]
    return [f"{where}: {k} is {reader[k]}, and was {writer.get(k)}" for k in narrow]


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        found: Schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = found
    return schema


if __name__ == "__main__":
    RELEASED.mkdir(exist_ok=True)
    target = RELEASED / f"{__version__}.json"
    lines = [f"{json.dumps(name)}: {json.dumps(made, sort_keys=True)}" for name, made in schemas().items()]
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(target)
