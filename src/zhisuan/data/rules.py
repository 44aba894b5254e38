"""Trees of files, without a database: what a path may be, how a change makes a new tree, what a tree is called by."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zhisuan.base.errors import FieldProblem, InvalidInput, TooLarge
from zhisuan.base.text import Text
from zhisuan.base.trees import File

NAME = re.compile(r"\w[\w.-]{0,62}")
DIGEST = re.compile(r"[0-9a-f]{64}")
PATH_BYTES_MAX, PART_BYTES_MAX, DEPTH_MAX = 1024, 255, 64
FILES_MAX = 100_000
MODES = (0o644, 0o755)
PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Change:
    """``put`` adds or replaces; ``remove`` names files, or folders with all that is in them. Removing comes first."""

    put: tuple[File, ...] = ()
    remove: tuple[str, ...] = ()


def path_problem(path: str) -> Text | None:
    """Why this cannot be the path of a file, or None."""
    parts = path.split("/")
    if not path or "" in parts or "." in parts or ".." in parts:
        return Text("must be relative, without '.', '..' or empty parts", "须为相对路径，不含 .、.. 或空的部分")
    if not path.isprintable():
        return Text("holds characters that cannot be printed", "含有不可见字符")
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return Text("is not UTF-8", "不是 UTF-8 文本")
    if max(sizes) > PART_BYTES_MAX or sum(sizes) + len(sizes) > PATH_BYTES_MAX or len(parts) > DEPTH_MAX:
        return Text(
            f"is too long: {PART_BYTES_MAX} bytes a name, {PATH_BYTES_MAX} bytes and {DEPTH_MAX} folders a path",
            f"过长：每个名称最多 {PART_BYTES_MAX} 字节，整个路径最多 {PATH_BYTES_MAX} 字节、{DEPTH_MAX} 层",
        )
    return None


def check_change(change: Change) -> None:
    """Raises ``InvalidInput`` naming each wrong file."""
    problems = []
    for place, file in enumerate(change.put):
        told = path_problem(file.path)
        if told is None and not DIGEST.fullmatch(file.sha256):
            told = Text("needs its SHA-256 in 64 hexadecimal digits", "须提供 64 位十六进制的 SHA-256")
        if told is None and (file.mode not in MODES or file.size_bytes < 0):
            told = Text("has mode 420 (0644) or 493 (0755) and a size", "权限须为 420（0644）或 493（0755），且大小不为负")
        if told is not None:
            problems.append(FieldProblem(f"put.{place}", Text(f"{file.path!r} {told.en}", f"{file.path!r} {told.zh}")))
    for place, path in enumerate(change.remove):
        told = path_problem(path)
        if told is not None:
            problems.append(FieldProblem(f"remove.{place}", told))
    if problems:
        raise InvalidInput(
            Text("Some files cannot be in a volume as they are named.", "部分文件无法以所给形式放入数据卷。"),
            Text("Correct the entries named below.", "请按下列提示修改。"),
            problems=problems[:PROBLEMS_SHOWN],
        )


def apply(base: Mapping[str, File], change: Change) -> dict[str, File]:
    """The tree after a change, by path. Raises ``InvalidInput`` where a file would also be a folder, ``TooLarge``."""
    gone = set(change.remove)
    tree = {path: file for path, file in base.items() if not gone or not _within(path, gone)}
    tree.update({file.path: file for file in change.put})
    if len(tree) > FILES_MAX:
        raise TooLarge(
            Text(f"A version may have {FILES_MAX} files; this one would have {len(tree)}.",
                 f"一个版本最多 {FILES_MAX} 个文件；该版本将有 {len(tree)} 个。"),
            Text("Pack small files together, or use several volumes.", "请把小文件打包，或分成多个数据卷。"),
        )  # fmt: skip
    both = next((folder for path in tree for folder in folders_of(path) if folder in tree), None)
    if both is not None:
        raise InvalidInput(
            Text(f"{both!r} would be a file and a folder.", f"{both!r} 会同时是文件和文件夹。"),
            Text("Remove the one that is not wanted in the same change.", "请在同一次变更中删除不需要的那个。"),
        )
    return dict(sorted(tree.items(), key=lambda item: item[0].encode()))


def _within(path: str, folders: set[str]) -> bool:
    return path in folders or any(folder in folders for folder in folders_of(path))


def folders_of(path: str) -> Iterable[str]:
    """Every folder that a path lies in, the outermost first."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def difference(base: Mapping[str, File], now: Mapping[str, File]) -> Change:
    """The change that makes ``now`` of ``base``."""
    put = tuple(file for path, file in now.items() if base.get(path) != file)
    return Change(put, tuple(path for path in base if path not in now))


def total_bytes(files: Sequence[File]) -> int:
    return sum(file.size_bytes for file in files)
