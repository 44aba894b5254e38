"""Text for people, in both languages of the project."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in English and in Chinese; a face picks by the reader's language."""

    en: str
    zh: str

    def in_language(self, language: str) -> str:
        """The Chinese text for ``zh``, ``zh-CN`` …, else the English one."""
        return self.zh if language.lower().startswith("zh") else self.en

    def as_dict(self) -> dict[str, str]:
        return {"en": self.en, "zh": self.zh}
