"""The reader's language: a page says each text of the catalogue in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zhisuan.base.text import Text

Language = Literal["zh", "en"]
DEFAULT: Language = "zh"


def known(language: object) -> Language:
    """``zh`` or ``en``; anything else is the default."""
    return "en" if language == "en" else "zh" if language == "zh" else DEFAULT


@dataclass(frozen=True, slots=True)
class Speech:
    """Says texts in one language."""

    language: Language

    def __call__(self, said: Text, /, **values: Any) -> str:
        text = said.in_language(self.language)
        return text.format(**values) if values else text

    def words(self, both: Mapping[str, Any] | None) -> str:
        """The text of an API answer that comes in both languages."""
        return str(both.get(self.language) or both.get("en") or "") if both else ""

    def named(self, table: Mapping[str, Text], name: object) -> str:
        """The word for a value of the API; one that the table does not know is shown as it is."""
        text = table.get(str(name))
        return text.in_language(self.language) if text else str(name)
