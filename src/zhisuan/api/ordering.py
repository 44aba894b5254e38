"""Orders as they come in. Those that come at the same time are taken in one transaction, in which none waits for another; each has its
own answer, and what is wrong with one is nothing to the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from zhisuan.api import launching
from zhisuan.api.calls import replayed
from zhisuan.api.platform import Platform
from zhisuan.api.schemas import WorkloadLaunched
from zhisuan.api.submitting import Order
from zhisuan.api.together import Together
from zhisuan.api.views import placement_view, quoted_view
from zhisuan.base.db import Tx
from zhisuan.base.errors import Forbidden, ZhisuanError
from zhisuan.base.idempotency import Keyed, earlier_answers, remember_answer
from zhisuan.base.text import Text
from zhisuan.tenancy import service as tenancy
from zhisuan.tenancy.roles import PRIORITY_MAX
from zhisuan.tenancy.service import Principal
from zhisuan.workload import secrets
from zhisuan.workload import service as workloads

TOGETHER_MAX = 50
CREATED = 201


@dataclass(frozen=True, slots=True)
class Ordered:
    """One order with its key; ``uploads``: workdir, blobs by target, and the targets that are one file."""

    call: Keyed
    who: Principal
    order: Order
    project: str | None
    workdir_blob: str | None
    mounts: dict[str, str]
    files: Sequence[str]


class Desk:
    """Takes the orders of one server process."""

    def __init__(self, here: Platform) -> None:
        self._here = here
        self._together: Together[Ordered, JSONResponse] = Together(self._take_all, TOGETHER_MAX)

    async def take(self, ordered: Ordered) -> JSONResponse:
        """Launch it, or give the answer that its key was given before. Raises what is wrong with it."""
        return await self._together(ordered)

    def _take_all(self, orders: Sequence[Ordered]) -> list[JSONResponse | Exception]:
        """Alone go: the second of one key, one that must wait for somebody, and all where one cannot be written."""
        first = {ordered.call.identity: number for number, ordered in reversed(list(enumerate(orders)))}
        made: dict[int, JSONResponse | Exception] = {}
        rest, before = sorted(first.values()), 0
        while rest and len(rest) != before:
            try:
                found = dict(zip(rest, self._in_one([orders[n] for n in rest]), strict=True))
            except (SQLAlchemyError, ZhisuanError) as error:
                made |= {rest[0]: error} if len(rest) == 1 else {}
                break
            before = len(rest)
            rest = [n for n in rest if isinstance(found[n], launching.Crowded)]
            made |= {n: answer for n, answer in found.items() if n not in rest}
        return [made[n] if n in made else self._alone(ordered) for n, ordered in enumerate(orders)]

    def _in_one(self, orders: Sequence[Ordered]) -> "list[JSONResponse | ZhisuanError | launching.Crowded]":
        with self._here.database.begin() as tx:
            found: list[Any] = [
                replayed(earlier) if isinstance(earlier, tuple) else earlier
                for earlier in earlier_answers(tx, [ordered.call for ordered in orders])
            ]
            projects: dict[tuple[str, str | None], str] = {}
            asked = {}
            for number, ordered in enumerate(orders):
                if found[number] is None:
                    try:
                        asked[number] = _asked(tx, ordered, projects)
                    except ZhisuanError as error:
                        found[number] = error
            launched = launching.launch_all(tx, list(asked.values()), self._here.site_ttl)
            for number, made in zip(asked, launched, strict=True):
                found[number] = self._answer(tx, orders[number], made) if isinstance(made, launching.Launched) else made
            return found

    def _answer(self, tx: Tx, ordered: Ordered, made: launching.Launched) -> JSONResponse:
        secrets.keep(tx, self._here.vault, made.workload.id, ordered.order.secrets)
        view = WorkloadLaunched(workload=quoted_view(made.workload, made.quote), placement=placement_view(made.placed.record))
        answer = view.model_dump(mode="json")
        remember_answer(tx, ordered.call, CREATED, answer)
        return JSONResponse(answer, CREATED)

    def _alone(self, ordered: Ordered) -> JSONResponse | Exception:
        try:
            with self._here.database.begin(ordered.who.user_id) as tx:
                (earlier,) = earlier_answers(tx, [ordered.call])
                if earlier is not None:
                    return replayed(earlier) if isinstance(earlier, tuple) else earlier
                return self._answer(tx, ordered, launching.launch(tx, _asked(tx, ordered, {}), self._here.site_ttl))
        except (ZhisuanError, SQLAlchemyError) as error:
            return error


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _asked(tx: Tx, ordered: Ordered, projects: dict[tuple[str, str | None], str]) -> launching.Asked:
    """Raises ``NotFound`` for an upload or a project that is not there for the caller, ``Forbidden`` for a priority above its role."""
    who = ordered.who
    _check_priority(who, ordered.order.spec.priority)
    for blob_id in [*ordered.mounts.values(), *([ordered.workdir_blob] if ordered.workdir_blob else [])]:
        workloads.blob_visible(tx, blob_id, who.org_id)
    name = who.org_id, ordered.project or who.project_id
    if name not in projects:
        projects[name] = tenancy.project_named(tx, *name).id
    return launching.Asked(
        who.org_id, projects[name], ordered.order.spec, ordered.order.text, who.user_id, ordered.workdir_blob, ordered.mounts,
        ordered.files,
    )  # fmt: skip


def _check_priority(who: Principal, priority: int) -> None:
    most = PRIORITY_MAX.get(who.role, 0)
    if priority > most:
        raise Forbidden(
            Text(f"The role {who.role.value} may give work a priority up to {most}, not {priority}.", f"角色 {who.role.value} 可设置的优先级最高为 {most}，不能为 {priority}。"),
            Text("Lower zhisuan.priority, or have an owner of your organisation launch it.", "请降低 zhisuan.priority，或由组织所有者启动。"),
            code="priority_above_role",
        )
