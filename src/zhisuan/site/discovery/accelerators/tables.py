"""Tables that tools draw with ``|`` between the cells and lines of ``+``, ``-`` and ``=`` around them."""

from collections.abc import Iterator, Sequence

from zhisuan.site.discovery.accelerators.common import FormError


def table_rows(output: str) -> list[list[str]]:
    """The cells of every line that begins with ``|``. Raises FormError for one that has no ``|`` at its end: it was cut."""
    rows = []
    for line in output.splitlines():
        text = line.strip()
        if not text.startswith("|") or (len(text) > 1 and set(text) <= set("|-=+")):
            continue
        if len(text) < 2 or not text.endswith("|"):
            raise FormError("a | at the end of every line of the table", text)
        rows.append([cell.strip() for cell in text[1:-1].split("|")])
    return rows


def heading_at(rows: Sequence[Sequence[str]], *heading: str) -> int | None:
    """Where the first row stands whose cells begin with these words, blanks aside."""
    wanted = [text.split() for text in heading]
    for at, cells in enumerate(rows):
        words = [cell.split() for cell in cells]
        if len(words) >= len(wanted) and all(w == words[i][: len(w)] for i, w in enumerate(wanted)):
            return at
    return None


def pairs(rows: Sequence[list[str]], cells: int) -> Iterator[tuple[list[str], list[str]]]:
    """Device rows two by two, up to the first row of one cell, which opens the table of processes. Raises FormError for
    a row of another width and for an odd one."""
    body: list[list[str]] = []
    for row in rows:
        if len(row) == 1:
            break
        if len(row) != cells:
            raise FormError(f"{cells} cells a line", " | ".join(row))
        body.append(row)
    if len(body) % 2:
        raise FormError("two lines a device", " | ".join(body[-1]))
    yield from zip(body[::2], body[1::2], strict=True)
