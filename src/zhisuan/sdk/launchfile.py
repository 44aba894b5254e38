"""The workload file on the client's side: which local folders and files it needs, and variables given from outside.

Whether the file is right is the platform's to say; here only the paths are read. ``workdir`` and the sources of
``file_mounts`` are relative to the folder of the file, so that a file means the same wherever the command is run from
(SkyPilot reads them relative to where the command runs).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text


@dataclass(frozen=True, slots=True)
class LocalSources:
    """What to send along: the work folder, and each mounted folder or single file by its target."""

    workdir: Path | None
    mounts: dict[str, Path]
    files: dict[str, Path]

    @property
    def any(self) -> bool:
        return bool(self.workdir or self.mounts or self.files)


def read_file(path: Path) -> str:
    """The text of a workload file. Raises ``InvalidInput`` when it cannot be read as text."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        what = Text(f"There is no file {path}.", f"没有文件 {path}。")
        raise InvalidInput(what, Text("Check the path.", "请核对路径。"), code="no_such_file") from error
    except UnicodeDecodeError as error:
        what = Text(f"{path} is not UTF-8 text.", f"{path} 不是 UTF-8 文本。")
        raise InvalidInput(what, Text("Save it as UTF-8.", "请以 UTF-8 编码保存。"), code="not_text") from error
    except OSError as error:
        what = Text(f"{path} cannot be read: {error.strerror}.", f"无法读取 {path}：{error.strerror}。")
        raise InvalidInput(
            what, Text("Check path and rights.", "请检查路径与权限。"), code="unreadable_file"
        ) from error


def local_sources(text: str, base: Path) -> LocalSources:
    """The local paths that a workload file names. Raises ``InvalidInput`` naming each that is not there.

    A file that is no YAML mapping, and fields of a form that is not a path, give nothing: the platform refuses them
    with all else that is wrong.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        data = None
    fields = data if isinstance(data, dict) else {}
    problems: list[FieldProblem] = []
    workdir = None
    if isinstance(fields.get("workdir"), str):
        workdir = _local(fields["workdir"], base)
        if not workdir.is_dir():
            problems.append(FieldProblem("workdir", Text(f"{workdir} is not a folder", f"{workdir} 不是文件夹")))
    mounts: dict[str, Path] = {}
    files: dict[str, Path] = {}
    named = fields.get("file_mounts")
    for target, source in (named if isinstance(named, dict) else {}).items():
        if not isinstance(source, str) or "://" in source:
            continue
        path = _local(source, base)
        if path.is_dir():
            mounts[str(target)] = path
        elif path.is_file():
            files[str(target)] = path
        elif path.exists():
            told = Text(f"{path} is neither a file nor a folder", f"{path} 既不是文件也不是文件夹")
            problems.append(FieldProblem(f"file_mounts.{target}", told))
        else:
            told = Text(f"there is no {path}", f"路径 {path} 不存在")
            problems.append(FieldProblem(f"file_mounts.{target}", told))
    if problems:
        raise InvalidInput(
            Text(
                "The workload file names local paths that cannot be sent.", "工作负载文件引用的本地路径无法上传。"
            ),
            Text(f"Paths are relative to {base}.", f"路径相对于 {base}。"),
            code="no_such_path",
            problems=problems,
        )
    return LocalSources(workdir, mounts, files)


def _local(path: str, base: Path) -> Path:
    return (base / Path(path).expanduser()).resolve()


def with_envs(text: str, envs: Mapping[str, str]) -> str:
    """The file with ``envs`` set or replaced. All else keeps its value and order; remarks are lost, as YAML keeps none.

    Works on the YAML tree, not on values, so that every other scalar stays letter for letter what was written. A file
    that is no mapping is given back as it is: the platform says what is wrong with it.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text
    if not envs or not isinstance(root, yaml.MappingNode):
        return text
    section = next((value for name, value in root.value if name.value == "envs"), None)
    if not isinstance(section, yaml.MappingNode):
        section = yaml.MappingNode("tag:yaml.org,2002:map", [], flow_style=False)
        root.value = [(n, v) for n, v in root.value if n.value != "envs"] + [(_scalar("envs"), section)]
    kept = [(name, value) for name, value in section.value if name.value not in envs]
    section.value = kept + [(_scalar(name), _scalar(value, style='"')) for name, value in envs.items()]
    return str(yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=10_000))


def with_name(text: str, name: str | None) -> str:
    """The file under another name, as ``with_envs`` changes it."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text
    if name is None or not isinstance(root, yaml.MappingNode):
        return text
    root.value = [(_scalar("name"), _scalar(name, style='"'))] + [(n, v) for n, v in root.value if n.value != "name"]
    return str(yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=10_000))


def _scalar(value: str, style: str | None = None) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", value, style=style)
