"""Stored bytes as an answer: one file that can be gone on with (ETag, the digest; Range, If-Range and If-Match as in RFC 9110), or
many small ones together."""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import StreamingResponse

from zhisuan.base.errors import Conflict, InvalidInput, NotFound
from zhisuan.base.packs import grouped
from zhisuan.base.store import Store
from zhisuan.base.text import Text

READ_BYTES = 1024**2
RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


def stored_file(
    request: Request, store: Store, sha256: str, size_bytes: int, *, name: str, media_type: str = "application/octet-stream"
) -> StreamingResponse:
    """The bytes, or the part that the request asks for. Raises ``Conflict`` where If-Match names other bytes than these,
    ``InvalidInput`` for a range that begins beyond their end, ``NotFound``."""
    etag = f'"{sha256}"'
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip() not in ("*", etag):
        raise Conflict(
            Text("The file is not the one that was begun any more.", "该文件已不是先前开始下载的文件。"),
            Text("Begin again from its first byte.", "请从头重新下载。"),
            code="file_changed",
        )
    start, end = 0, size_bytes
    if request.headers.get("if-range", etag).strip() == etag:
        start, end = _span(request.headers.get("range"), size_bytes)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Length": str(end - start),
        "X-Content-Sha256": sha256,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}",
    }
    partial = (start, end) != (0, size_bytes)
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size_bytes}"
    return StreamingResponse(
        store.chunks(sha256, start, end - start), 206 if partial else 200, headers=headers, media_type=media_type
    )


def joined_files(store: Store, digests: Sequence[str], sizes: Mapping[str, int]) -> StreamingResponse:
    """Several files, one behind the other; small ones are read some at once. Raises ``NotFound`` for one that has no size here."""
    unknown = next((d for d in digests if d not in sizes), None)
    if unknown is not None:
        raise NotFound.of(Text("file", "文件"), unknown)
    headers = {"Content-Length": str(sum(sizes[d] for d in digests))}
    return StreamingResponse(_joined(store, digests, sizes), media_type="application/octet-stream", headers=headers)


def _joined(store: Store, digests: Sequence[str], sizes: Mapping[str, int]) -> Iterator[bytes]:
    for some in grouped(digests, sizes.__getitem__, READ_BYTES):
        if len(some) == 1:
            yield from store.chunks(some[0])
        else:
            yield store.read_small(some)


def _span(text: str | None, size: int) -> tuple[int, int]:
    """[start, end) of one range; the whole where none is asked for, or one of a form that need not be understood."""
    found = RANGE.fullmatch(text.strip()) if text else None
    if found is None or not any(found.groups()):
        return 0, size
    first, last = found.groups()
    if first is None:
        return max(0, size - int(last)), size
    if int(first) >= size or (last is not None and int(last) < int(first)):
        raise InvalidInput(
            Text(f"The file has {size} bytes; the range begins beyond.", f"文件共 {size} 字节，请求的范围超出其末尾。"),
            Text("Ask for a range inside the file.", "请求文件之内的范围。"),
            code="range_not_satisfiable",
        )
    return int(first), size if last is None else min(size, int(last) + 1)
