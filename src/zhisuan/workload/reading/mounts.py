"""``file_mounts``: local folders and files that go along; those that name a volume are read with the volumes."""

from typing import Any

from zhisuan.base.text import Text
from zhisuan.workload.reading.reader import Reader
from zhisuan.workload.reading.refused import MOUNTS_REFUSED
from zhisuan.workload.volume_mounts import VOLUME_URL


def read_mounts(reader: Reader, value: Any) -> dict[str, str]:
    mounts = {}
    for target, source in reader.mapping("file_mounts", value).items():
        if isinstance(source, str) and source.startswith(VOLUME_URL):
            continue
        where = f"file_mounts.{target}"
        if isinstance(source, dict):
            reader.refuse(where, MOUNTS_REFUSED["storage"])
        elif not isinstance(source, str) or not source:
            reader.wrong(where, "takes a local path", "须为本地路径")
        elif "://" in source:
            reader.refuse(where, MOUNTS_REFUSED["url"])
        elif not target.strip("/") or ".." in target.split("/"):
            reader.wrong(where, "must name a place, without '..'", "须指明位置，且不能包含 ..")
        else:
            mounts[target] = source
    return mounts


def file_problem(target: str) -> Text | None:
    """Why one file cannot stand at ``target``: that is its own path there, in a folder that work may have for itself."""
    if target.endswith("/"):
        return Text("ends with '/'; write the path that the file is to have", "以 / 结尾；请写出文件本身的目标路径")
    if folder_of(target) == "/":
        return Text("stands at the root of the file system; write a folder before it", "位于根目录；请放入某个文件夹")
    return None


def folder_of(target: str) -> str:
    """The folder that the archive of one file is unpacked in; ``~`` is the work folder."""
    folder, slash, _ = target.rpartition("/")
    return folder or ("/" if slash else "~")
