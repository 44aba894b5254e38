"""What a look at the machine has found."""

from dataclasses import dataclass
from typing import Literal

from zhisuan.base.text import Text

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; ``remedy`` says how to mend what is not well."""

    name: str
    verdict: Verdict
    what: Text
    remedy: Text | None = None

    def as_dict(self) -> dict[str, object]:
        remedy = self.remedy.as_dict() if self.remedy else None
        return {"name": self.name, "verdict": self.verdict, "what": self.what.as_dict(), "remedy": remedy}
