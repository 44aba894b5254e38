"""``volumes``: named, versioned trees of files."""

from itertools import islice
from pathlib import Path
from typing import Annotated

from zhisuan.base.errors import NotFound
from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import NONE, count, time_of_day
from zhisuan.cli.output import Screen, items, show
from zhisuan.cli.params import JsonFlag, Limit, Project
from zhisuan.cli.session import connect
from zhisuan.cli.text import arg, opt, state, t
from zhisuan.cli.transfers import shown, size_text

VolumeName = Annotated[str, arg("Name of the volume.", "数据卷名称。", metavar="NAME")]
VolumePath = Annotated[str, arg("The volume, or a place in it: NAME[:PATH].", "数据卷或其中的路径：NAME[:PATH]。", metavar="NAME[:PATH]")]
Local = Annotated[Path, arg("A local file or folder.", "本地文件或文件夹。", metavar="LOCAL")]
Version = Annotated[
    int | None, opt("--version", metavar="N", min=1, en="This version instead of the current one.", zh="使用此版本，而非当前版本。")
]  # fmt: skip


def parted(text: str) -> tuple[str, str]:
    """The name and the path of ``NAME[:PATH]``. Raises ``InvalidInput``."""
    name, _, path = text.partition(":")
    if not name:
        raise usage_error(f"{text}: the volume's name is missing.", f"{text}：缺少数据卷名称。")
    return name, path.strip("/")


def create(name: VolumeName, project: Project = None, as_json: JsonFlag = False) -> None:
    with connect() as client:
        made = client.create_volume(name, project=project)

    def draw(screen: Screen) -> None:
        screen.line(t(f"Volume {made.name} is there ({made.id}).", f"已创建数据卷 {made.name}（{made.id}）。"))
        screen.note(t(f"Fill it: zhisuan volumes put FOLDER {made.name}", f"放入文件：zhisuan volumes put FOLDER {made.name}"))

    show(as_json, made.as_json(), draw)


def list_volumes(
    deleted: Annotated[bool, opt("--deleted", en="Those that were deleted, with the reason.", zh="列出已删除的数据卷及原因。")] = False,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = list(islice(client.volumes(deleted=deleted), limit))
        use = client.data_use()

    def draw(screen: Screen) -> None:
        if not found:
            screen.note(t("No volumes; 'zhisuan volumes create NAME' makes one.", "没有数据卷；用 zhisuan volumes create NAME 创建。"))
        elif deleted:
            screen.table("name !created reason", [(v.name, time_of_day(v.created_at), v.delete_reason or NONE) for v in found])
        else:
            screen.table(
                "name >version >files >size !created",
                [
                    (
                        v.name, str(v.current_number or NONE), count(v.current.file_count if v.current else 0),
                        size_text(v.current.size_bytes if v.current else 0), time_of_day(v.created_at),
                    )
                    for v in found
                ],
            )  # fmt: skip
        screen.note(
            t(f"{size_text(use.bytes_used)} of {size_text(use.bytes_max)} used.", f"已用 {size_text(use.bytes_used)}，配额 {size_text(use.bytes_max)}。")
        )  # fmt: skip

    show(as_json, items(found) | {"use": use.as_json()}, draw)


def show_volume(where: VolumePath, version: Version = None, limit: Limit = 200, as_json: JsonFlag = False) -> None:
    name, path = parted(where)
    with connect() as client:
        volume = client.volume(name)
        empty = volume.current_number == 0 and version is None
        found = [] if empty else list(islice(client.volume_folder(name, path, version=version), limit))
        uses = list(islice(client.volume_uses(name), 20))

    def draw(screen: Screen) -> None:
        now = volume.current
        screen.facts(
            [
                (t("Volume", "数据卷"), volume.name),
                (t("Current version", "当前版本"), str(volume.current_number or NONE)),
                (t("Files", "文件数"), count(now.file_count if now else 0)),
                (t("Size", "大小"), size_text(now.size_bytes if now else 0)),
            ]
        )
        if found:
            screen.line()
            screen.table(
                "path >files >size",
                [(e.name + ("/" if e.is_folder else ""), count(e.file_count), size_text(e.size_bytes)) for e in found],
            )
        if uses:
            screen.line()
            screen.table(
                "!id name !state target >version mode",
                [(u.workload_id, u.workload_name, state(u.workload_state), u.target, str(u.number), u.mode) for u in uses],
            )

    show(as_json, volume.as_json() | {"entries": items(found)["items"], "uses": items(uses)["items"]}, draw)


def versions(name: VolumeName, limit: Limit = 50, as_json: JsonFlag = False) -> None:
    with connect() as client:
        current = client.volume(name).current_number
        found = list(islice(client.volume_versions(name), limit))

    def draw(screen: Screen) -> None:
        screen.table(
            ">version >files >size !created actor note",
            [
                (
                    f"{v.number}{'*' if v.number == current else ''}", count(v.file_count), size_text(v.size_bytes),
                    time_of_day(v.created_at), v.workload_id or v.created_by or "", v.side or v.note,
                )
                for v in found
            ],
        )  # fmt: skip
        screen.note(t("* the current version", "* 当前版本"))

    show(as_json, items(found), draw)


def put(
    local: Local,
    where: VolumePath,
    make: Annotated[bool, opt("--create", en="Make the volume if it is not there.", zh="数据卷不存在时创建。")] = False,
    delete: Annotated[
        bool, opt("--delete", en="Remove what the local folder does not have.", zh="删除本地文件夹中没有的文件。")
    ] = False,
    note: Annotated[str, opt("--note", metavar="TEXT", en="What this version is for.", zh="版本说明。")] = "",
    as_json: JsonFlag = False,
) -> None:
    name, path = parted(where)
    with connect() as client:
        try:
            client.volume(name)
        except NotFound:
            if not make:
                raise
            client.create_volume(name)
        with shown(t(f"To {name}:", f"上传至 {name}："), quiet=as_json) as watcher:
            made = client.put_volume(local, name, path=path, delete=delete, note=note, watcher=watcher)
    show(
        as_json,
        made.as_json(),
        lambda screen: screen.line(
            t(
                f"{name} version {made.number}: {made.file_count} files, {size_text(made.size_bytes)}.",
                f"{name} 版本 {made.number}：{made.file_count} 个文件，{size_text(made.size_bytes)}。",
            )
        ),
    )


def get(where: VolumePath, local: Local, version: Version = None, as_json: JsonFlag = False) -> None:
    name, path = parted(where)
    with connect() as client, shown(t(f"From {name}:", f"下载 {name}："), quiet=as_json) as watcher:
        found = client.get_volume(name, local, path=path, version=version, watcher=watcher)
    show(
        as_json,
        {"files": [str(p) for p in found]},
        lambda screen: screen.line(t(f"{len(found)} files are in {local}.", f"{len(found)} 个文件已在 {local}。")),
    )


def use(
    name: VolumeName,
    number: Annotated[int, arg("Number of the version.", "版本号。", metavar="VERSION")],
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.use_volume_version(name, number)
    show(
        as_json,
        found.as_json(),
        lambda screen: screen.line(t(f"{name}: version {number} is current.", f"{name}：当前版本为 {number}。")),
    )


def remove(
    where: VolumePath,
    reason: Annotated[str, opt("--reason", metavar="TEXT", en="Why; it stays on record.", zh="原因；会被记录。")] = "",
    as_json: JsonFlag = False,
) -> None:
    """A volume, or with a path a file or folder of it: the latter makes a new version without it."""
    name, path = parted(where)
    with connect() as client:
        if path:
            base = client.volume(name).current_number
            made = client.commit_volume(name, base=base, put=[], remove=[path], note=reason)
            document, said = made.as_json(), t(f"{name} version {made.number} is without {path}.", f"{name} 版本 {made.number} 已不含 {path}。")
        elif not reason:
            raise usage_error("Deleting a volume needs --reason.", "删除数据卷须给出 --reason。")
        else:
            document = client.delete_volume(name, reason).as_json()
            said = t(f"Volume {name} is deleted; its versions are kept for some days.", f"数据卷 {name} 已删除，其版本将再保留数日。")
    show(as_json, document, lambda screen: screen.line(said))


def quota(
    org: Annotated[str, arg("Id of the organisation (org_…).", "组织编号（org_…）。", metavar="ORG")],
    gigabytes: Annotated[int, arg("Most gigabytes (10^9 bytes) of volumes.", "数据卷上限，单位 GB（10^9 字节）。", metavar="GB", min=0)],
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.set_data_quota(org, gigabytes * 10**9)
    show(
        as_json,
        found.as_json(),
        lambda screen: screen.line(
            t(f"{org}: {size_text(found.bytes_used)} of {size_text(found.bytes_max)} used.", f"{org}：已用 {size_text(found.bytes_used)}，配额 {size_text(found.bytes_max)}。")
        ),
    )  # fmt: skip
