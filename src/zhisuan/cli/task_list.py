"""``jobs tasks``, and the output of one task among that of all."""

import io
import re
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Annotated

from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import milli, time_of_day
from zhisuan.cli.output import Screen, show
from zhisuan.cli.params import JsonFlag, Limit, WorkloadId
from zhisuan.cli.session import connect
from zhisuan.cli.text import opt, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import TaskEnd, WorkloadDetail


def list_tasks(
    workload_id: WorkloadId,
    everything: Annotated[bool, opt("--all", en="Also those that succeeded.", zh="同时列出成功的任务。")] = False,
    first: Annotated[
        int, opt("--from", metavar="INDEX", min=0, en="Begin with this index.", zh="从此序号开始。")
    ] = 0,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.workload(workload_id)
        if found.resources is None or found.resources.tasks is None:
            raise usage_error(
                f"{workload_id} has no tasks.",
                f"{workload_id} 没有批量任务。",
                "The field zhisuan.tasks of a workload file makes some; 'zhisuan logs' shows the output of a job.",
                "批量任务由工作负载文件的 zhisuan.tasks 字段定义；作业输出可用 zhisuan logs 查看。",
            )
        ends = client.tasks(workload_id)
    count = found.resources.tasks.count
    failed = sum(end.failed for end in ends)
    matching = [end for end in ends if end.index >= first and (everything or end.failed)]
    document = {
        "id": workload_id, "count": count, "done": len(ends), "failed": failed, "progress": found.progress_message,
        "items": [end.as_json() for end in matching[:limit]],
    }  # fmt: skip
    show(as_json, document, lambda screen: _draw(screen, found, count, ends, failed, matching, limit))


def _draw(
    screen: Screen, job: "WorkloadDetail", count: int, ends: "list[TaskEnd]", failed: int, matching: "list[TaskEnd]", limit: int
) -> None:
    if not ends and not job.resting:
        screen.line(job.progress_message or t(f"{count:,} tasks, none done so far.", f"共 {count:,} 个任务，尚无完成。"))
        screen.note(
            t(
                f"The list comes when the work ends; 'zhisuan logs {job.id}' tells of each failure as it happens.",
                f"列表在作业结束时给出；失败情况可用 zhisuan logs {job.id} 随时查看。",
            )
        )
        return
    left = count - len(ends)
    rest = t(f", {left:,} not finished", f"，{left:,} 个未完成") if left else ""
    screen.line(
        t(
            f"{count:,} tasks: {len(ends) - failed:,} succeeded, {failed:,} failed{rest}.",
            f"共 {count:,} 个任务：成功 {len(ends) - failed:,} 个，失败 {failed:,} 个{rest}。",
        )
    )
    if not matching:
        return
    shown = matching[:limit]
    screen.table(
        ">index >tries >exit_status !began >seconds",
        [
            (
                str(end.index), str(end.tries), str(end.exit_status), time_of_day(end.began),
                milli((end.ended - end.began) // timedelta(milliseconds=1)),
            )
            for end in shown
        ],
        ["red" if end.failed else "" for end in shown],
    )  # fmt: skip
    if len(matching) > limit:
        following = matching[limit].index
        screen.note(
            t(
                f"{len(matching) - limit:,} more: go on with --from {following}.",
                f"还有 {len(matching) - limit:,} 个：用 --from {following} 继续。",
            )
        )


class OneTask(io.TextIOBase):
    """A stream that passes on the lines of one task, without what stands before them."""

    def __init__(self, stream: IO[str], index: int) -> None:
        self._stream = stream
        self._before = re.compile(rf"(?:\[[0-9]+\] )?\[task {index}\] ")
        self._rest = ""

    def pick(self, text: str) -> str:
        """What of a further piece of all output is whole lines of the task."""
        *lines, self._rest = (self._rest + text).split("\n")
        found = ((self._before.match(line), line) for line in lines)
        return "".join(line[before.end() :] + "\n" for before, line in found if before is not None)

    def write(self, text: str) -> int:
        self._stream.write(self.pick(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()
