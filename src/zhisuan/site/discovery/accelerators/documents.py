"""JSON as the tools print it."""

import json
from typing import Any


def first_json(text: str) -> Any:
    """The first JSON object or list of a text; tools print warnings before it. ``None`` when there is none."""
    decoder = json.JSONDecoder()
    for at, letter in enumerate(text):
        if letter in "[{" and not text[:at].rpartition("\n")[2].strip():
            try:
                return decoder.raw_decode(text, at)[0]
            except json.JSONDecodeError:
                continue
    return None
