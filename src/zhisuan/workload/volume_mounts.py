"""Volumes in a workload file: ``volumes`` as SkyPilot writes it, our richer form, and ``volume://`` under ``file_mounts``."""

import re
from dataclasses import dataclass
from typing import Any, Protocol

VOLUME_URL = "volume://"
NAME = re.compile(r"\w[\w.-]{0,62}")
MODES = ("ro", "rw")
FIELDS = {"name", "version", "mode", "path"}


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A volume, or the folder ``path`` of it, at ``target``. ``version`` None: the one that is current at the launch."""

    target: str
    name: str
    version: int | None = None
    mode: str = "ro"
    path: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"target": self.target, "name": self.name, "version": self.version, "mode": self.mode, "path": self.path}


class Problems(Protocol):
    """Where a reader of workload files says what is wrong."""

    def wrong(self, where: str, en: str, zh: str) -> None: ...


def read_volumes(problems: Problems, volumes: dict[str, Any], file_mounts: dict[str, Any], *, service: bool, nodes: int) -> tuple[VolumeMount, ...]:
    """The volumes of both fields. ``file_mounts`` that are no ``volume://`` are left to others."""
    found = []
    for target, value in volumes.items():
        mount = _mount(problems, f"volumes.{target}", target, value)
        if mount is not None and mount.mode == "rw" and (service or nodes > 1):
            problems.wrong(
                f"volumes.{target}", "can be rw only in a job of one node: its copy becomes a version when the job succeeds",
                "仅单节点作业可用 rw：作业成功后其副本成为新版本",
            )  # fmt: skip
        if mount is not None and target in file_mounts:
            problems.wrong(f"volumes.{target}", "is named under file_mounts too", "同时出现在 file_mounts 中")
        found.append(mount)
    for target, source in file_mounts.items():
        if isinstance(source, str) and source.startswith(VOLUME_URL):
            found.append(_from_url(problems, f"file_mounts.{target}", target, source))
    return tuple(mount for mount in found if mount is not None)


def _from_url(problems: Problems, where: str, target: str, source: str) -> VolumeMount | None:
    named, _, path = source.removeprefix(VOLUME_URL).partition("/")
    name, at, version = named.partition("@")
    if at and not (version.isascii() and version.isdigit()):
        problems.wrong(where, "names a version as volume://name@3/path", "版本须写成 volume://name@3/path")
        return None
    return _mount(problems, where, target, {"name": name, "path": path, **({"version": int(version)} if at else {})})


def _mount(problems: Problems, where: str, target: str, value: Any) -> VolumeMount | None:
    data = {"name": value} if isinstance(value, str) else value
    if not isinstance(data, dict):
        problems.wrong(where, "takes the name of a volume, or name, version, mode and path", "须为数据卷名称，或 name、version、mode、path")
        return None
    before = _Count(problems)
    for field in sorted(set(map(str, data)) - FIELDS):
        before.wrong(f"{where}.{field}", f"is not a field of a volume here; known: {', '.join(sorted(FIELDS))}", f"不是数据卷的字段；可用：{'、'.join(sorted(FIELDS))}")
    name, version, mode, path = (data.get(k) for k in ("name", "version", "mode", "path"))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        before.wrong(where, "needs the name of a volume (up to 63 letters, digits, dots, hyphens)", "需要数据卷名称（最多 63 个字母、汉字、数字、点、连字符）")
    if version is not None and (not isinstance(version, int) or isinstance(version, bool) or not 1 <= version < 2**62):
        before.wrong(f"{where}.version", "is a whole number from 1", "须为从 1 起的整数")
    if mode not in (None, *MODES):
        before.wrong(f"{where}.mode", "is ro or rw", "须为 ro 或 rw")
    if path is not None and (not isinstance(path, str) or ".." in path.split("/") or not path.isprintable()):
        before.wrong(f"{where}.path", "is a folder of the volume, without '..'", "须为卷内文件夹，不含 ..")
    if mode == "rw" and path:
        before.wrong(where, "is rw as a whole only; leave out path", "rw 只能用于整个卷，请去掉 path")
    if not target.strip("/") or ".." in target.split("/") or not target.isprintable():
        before.wrong(where, "must be a folder of the work, without '..'", "挂载点须为作业中的文件夹，不含 ..")
    if before.count:
        return None
    return VolumeMount(target, str(name), version, mode or "ro", (path or "").strip("/"))


class _Count:
    def __init__(self, problems: Problems) -> None:
        self._problems, self.count = problems, 0

    def wrong(self, where: str, en: str, zh: str) -> None:
        self.count += 1
        self._problems.wrong(where, en, zh)
