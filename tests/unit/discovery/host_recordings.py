"""Recorded tool output: every file's first line names the tool and its version and is not part of the output."""

from pathlib import Path

from zhisuan.site.discovery import ToolResult

_FOLDER = Path(__file__).parent / "recordings"


def recording(name: str) -> str:
    header, _, text = (_FOLDER / name).read_text(encoding="utf-8").partition("\n")
    assert header.startswith("# "), f"{name}: the first line must name tool and version"
    return text


def exited(stdout: str, code: int = 0, stderr: str = "") -> ToolResult:
    return ToolResult("exited", code, stdout, stderr)
