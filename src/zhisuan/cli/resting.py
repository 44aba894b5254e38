"""``jobs pause``, ``jobs resume``, ``jobs restart``."""

from typing import TYPE_CHECKING

from zhisuan.base.text import Text
from zhisuan.cli.output import Screen, show
from zhisuan.cli.params import JsonFlag, WorkloadId
from zhisuan.cli.session import connect
from zhisuan.cli.text import say, state, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import Workload


def pause(workload_id: WorkloadId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.pause(workload_id)
    _tell(found, as_json, Text("is being paused", "正在暂停"))


def resume(workload_id: WorkloadId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.resume(workload_id)
    _tell(found, as_json, Text("goes on", "已恢复"))


def restart(workload_id: WorkloadId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.restart(workload_id)
    _tell(found, as_json, Text("is begun again", "正在重新开始"))


def _tell(found: "Workload", as_json: bool, what: Text) -> None:
    def draw(screen: Screen) -> None:
        if found.state == "paused":
            screen.line(f"{found.id} {state(found.state)}")
        else:
            screen.line(t(f"{found.id} {say(what)} ({state(found.state)}).", f"{found.id} {say(what)}（{state(found.state)}）。"))

    show(as_json, found.as_json(), draw)
