"""``zhisuan.tasks``: many small tasks in one order."""

from typing import Any

from zhisuan.base.text import Text
from zhisuan.workload.reading.reader import Reader, is_whole
from zhisuan.workload.tasks import COUNT_MAX, PARALLEL_MAX, RETRIES_MAX, Tasks

FIELDS = {"count", "parallel", "retries"}
_CALLED = {"completions": "count", "parallelism": "parallel", "array": "count", "backoffLimitPerIndex": "retries"}
REFUSED = {name: Text(f"is called {ours} here", f"在此处称为 {ours}") for name, ours in _CALLED.items()}
"""The words of Kubernetes' indexed jobs and of Slurm's job arrays."""

MISPLACED = {"tasks": Text("stands below zhisuan, like every field that SkyPilot does not have", "须写在 zhisuan 之下，与所有 SkyPilot 没有的字段一样")}


def read_tasks(reader: Reader, value: Any, *, service: bool, workspace: bool) -> Tasks | None:
    """None where there are none, or wrong ones."""
    if value is None:
        return None
    if service or workspace:
        what = ("a service", "服务") if service else ("a workspace", "工作空间")
        reader.wrong("zhisuan.tasks", f"does not go with {what[0]}, which has no end", f"不能与{what[1]}同时使用：{what[1]}不会自行结束")
        return None
    if isinstance(value, int):
        reader.wrong("zhisuan.tasks", f"is a mapping; write tasks: {{count: {value}}}", f"须为键值映射；请写 tasks: {{count: {value}}}")
        return None
    data = reader.mapping("zhisuan.tasks", value)
    reader.known("zhisuan.tasks.", data, FIELDS, REFUSED)
    count = _whole(reader, "count", data.get("count"), 1, COUNT_MAX)
    parallel = _whole(reader, "parallel", data["parallel"], 1, PARALLEL_MAX) if data.get("parallel") is not None else None
    retries = _whole(reader, "retries", data.get("retries", 0), 0, RETRIES_MAX)
    return Tasks(count, parallel, retries)


def _whole(reader: Reader, name: str, value: Any, least: int, most: int) -> int:
    if is_whole(value) and least <= value <= most:
        return int(value)
    said = ("is needed: ", "不能为空：") if value is None else ("", "")
    reader.wrong(
        f"zhisuan.tasks.{name}",
        f"{said[0] or 'is '}a whole number from {least} to {most:,}",
        f"{said[1]}须为 {least} 到 {most:,} 的整数",
    )
    return least
