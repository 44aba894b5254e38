"""Progress of a long step, for people (standard output) and for the platform (JSON lines in $ZHISUAN_PROGRESS)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """Writes each report twice: a readable line, and a JSON line appended to `file` where there is one."""

    file: Path | None

    @classmethod
    def from_environment(cls) -> Progress:
        """Reports to the file that the platform names in ZHISUAN_PROGRESS, or to standard output alone."""
        name = os.environ.get("ZHISUAN_PROGRESS")
        return cls(Path(name) if name else None)

    def report(self, fraction: float, message: str, **figures: float) -> None:
        """Say how far the work is: `fraction` from 0 to 1, a short message, and figures such as `step` or `loss`."""
        shown = "  ".join(
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
        )
        print(f"{fraction:4.0%}  {message}" + (f"  {shown}" if shown else ""), flush=True)
        if self.file is not None:
            record = {"fraction": round(fraction, 4), "message": message, **figures}
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
