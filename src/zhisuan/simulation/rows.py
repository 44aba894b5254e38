"""Rows of a trace: read one by one; a bad one is skipped, counted, and named with its line and the reason."""

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text

T = TypeVar("T")


class BadRow(ValueError):
    """A row that cannot be used; its text is the reason, in both languages."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.reason = Text(en, zh)


@dataclass(frozen=True, slots=True)
class Skipped:
    """``line`` is the number of the line in the file, from 1."""

    file: str
    line: int
    reason: Text


@dataclass(slots=True)
class Skips:
    """Every bad row is counted; the first ``shown`` are kept to be shown."""

    shown: int = 20
    count: int = 0
    first: list[Skipped] = field(default_factory=list)

    def add(self, file: str, line: int, reason: Text) -> None:
        self.count += 1
        if len(self.first) < self.shown:
            self.first.append(Skipped(file, line, reason))

    def as_dict(self) -> dict[str, object]:
        first = [{"file": one.file, "line": one.line, **one.reason.as_dict()} for one in self.first]
        return {"count": self.count, "first": first}


def open_text(path: Path) -> IO[str]:
    """The file as text, unpacked where its name ends in ``.gz``. Raises InvalidInput where it cannot be read."""
    try:
        if path.suffix == ".gz":
            return io.TextIOWrapper(gzip.open(path, "rb"), "utf-8-sig")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from error


def unreadable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        Text(f"The file {path} cannot be read: {why}.", f"无法读取文件 {path}：{why}。"),
        Text("Give the path of a file that can be read.", "请给出可读取文件的路径。"),
        code="file_unreadable",
    )


def read_csv(path: Path, columns: Sequence[str], make: Callable[[dict[str, str]], T], skips: Skips) -> Iterator[T]:
    """What ``make`` makes of each row; the header must hold ``columns``, in any order, others are left alone.

    ``make`` raises BadRow (or ValueError) for a row that cannot be used. Raises InvalidInput for a missing column or bytes
    that are not text.
    """
    with open_text(path) as file:
        reader = csv.DictReader(file)
        try:
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise InvalidInput(
                    Text(f"{path} lacks the columns: {', '.join(missing)}.", f"{path} 缺少列：{'、'.join(missing)}。"),
                    Text(f"Its first line must name {', '.join(columns)}.", f"首行必须包含 {'、'.join(columns)}。"),
                    code="columns_missing",
                )
            for row in reader:
                try:
                    if None in row or any(row[name] is None for name in columns):
                        raise BadRow("it has another number of fields than the header", "字段数与表头不符")
                    made = make(row)
                except BadRow as bad:
                    skips.add(path.name, reader.line_num, bad.reason)
                except ValueError as error:
                    skips.add(path.name, reader.line_num, Text(str(error), str(error)))
                else:
                    yield made
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, csv.Error) as error:
            raise unreadable(path, str(error)) from error


def whole(row: dict[str, str], name: str, least: int = 0) -> int:
    """A whole number of a row, at least ``least``. Raises BadRow."""
    text = row[name].strip()
    try:
        value = int(text)
    except ValueError:
        raise BadRow(f"{name} is not a whole number: {text!r}", f"{name} 不是整数：{text!r}") from None
    if value < least:
        raise BadRow(f"{name} is {value}, less than {least}", f"{name} 为 {value}，小于 {least}")
    return value
