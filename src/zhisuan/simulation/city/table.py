"""Tables that must be right as a whole: every wrong cell is named with file, line and column, and then all are refused."""

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.simulation.rows import open_text, unreadable

_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?")
LARGEST = 10**15


@dataclass(slots=True)
class Problems:
    found: list[FieldProblem] = field(default_factory=list)

    def add(self, where: str, en: str, zh: str) -> None:
        self.found.append(FieldProblem(where, Text(en, zh)))

    def refuse(self) -> None:
        """Raises InvalidInput with all of them, where there are any."""
        if self.found:
            raise InvalidInput(
                Text("The city cannot be used as written.", "城市文件内容有误，无法使用。"),
                Text("Correct the places named below.", "请按下列位置逐项修改。"),
                code="invalid_city",
                problems=self.found,
            )


@dataclass(slots=True)
class Row:
    """One line. A cell that is wrong is noted, and read as something harmless: nothing is made of a table with problems."""

    where: str
    cells: dict[str, str]
    problems: Problems

    def bad(self, column: str, en: str, zh: str) -> None:
        self.problems.add(f"{self.where} {column}", en, zh)

    def text(self, column: str) -> str:
        value = self.cells[column].strip()
        if not value or not value.isprintable():
            self.bad(column, "must not be empty", "不能为空")
        return value

    def optional(self, column: str) -> str | None:
        return self.cells[column].strip() or None

    def one_of(self, column: str, known: Collection[str], what: Text) -> str:
        value = self.text(column)
        if value and value not in known:
            self.bad(column, f"there is no {what.en} {value!r}", f"没有{what.zh} {value!r}")
        return value

    def scaled(self, column: str, places: int, least: int = 0, most: int = LARGEST) -> int:
        """A decimal as a whole number of 10^-places; ``least`` and ``most`` in that unit."""
        value = self.cells[column].strip()
        if not _DECIMAL.fullmatch(value):
            self.bad(column, f"is not a number: {value!r}", f"不是数字：{value!r}")
            return least
        whole, _, part = value.partition(".")
        if len(part.rstrip("0")) > places:
            self.bad(column, f"has more than {places} decimal places: {value}", f"小数位数超过 {places} 位：{value}")
            return least
        sign = -1 if whole.startswith("-") else 1
        number: int = sign * (abs(int(whole)) * 10**places + int(part.rstrip("0").ljust(places, "0") or "0"))
        if not least <= number <= most:
            low, high = least / 10**places, most / 10**places
            self.bad(column, f"is {value}, not from {low:g} to {high:g}", f"为 {value}，应在 {low:g} 到 {high:g} 之间")
            return least
        return number

    def whole(self, column: str, least: int = 0, most: int = LARGEST) -> int:
        return self.scaled(column, 0, least, most)


def read_table(path: Path, columns: Sequence[str], problems: Problems) -> list[Row]:
    """The rows of a CSV file that has just these columns, in any order. Blank lines are left out."""
    with open_text(path) as file:
        reader = csv.reader(file)
        try:
            header = [name.strip() for name in next(reader, [])]
            if sorted(header) != sorted(columns):
                wanted = ",".join(columns)
                problems.add(f"{path.name}:1", f"the columns must be {wanted}", f"列须为 {wanted}")
                return []
            rows = []
            for cells in reader:
                where = f"{path.name}:{reader.line_num}"
                if len(cells) == len(header):
                    rows.append(Row(where, dict(zip(header, cells, strict=True)), problems))
                elif cells:
                    problems.add(where, f"has {len(cells)} fields instead of {len(header)}", f"有 {len(cells)} 个字段，应为 {len(header)} 个")
            return rows
        except (UnicodeDecodeError, EOFError, csv.Error) as error:
            raise unreadable(path, str(error)) from error


def once(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Notes rows that say again what another has said."""
    seen: dict[tuple[str, ...], str] = {}
    for row in rows:
        key = tuple(row.cells[column].strip() for column in columns)
        if key in seen:
            said = ", ".join(key)
            row.bad(columns[0], f"{said} is also at {seen[key]}", f"{said} 与 {seen[key]} 重复")
        seen.setdefault(key, row.where)
