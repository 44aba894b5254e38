"""One model: versions with evaluation and lineage, deployments, the chat box, and code to call it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from zhisuan.console.format import bytes_text, count, moment_zoned
from zhisuan.console.pages.chat import ChatBox
from zhisuan.console.parts import (
    Column,
    button,
    card,
    code_block,
    copy_button,
    dialog,
    dialog_actions,
    div,
    el,
    empty,
    facts,
    field,
    form,
    ident,
    link,
    local,
    place,
    table,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import attempt, titled
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_models import Model
from zhisuan.console.wording import deployment_chip

Found = Mapping[str, Any]
MOVING = ("waiting", "starting", "not_ready")
LOOK_SECONDS = 3.0
FIGURES_MAX = 6
TEXT_MAX = 60


async def build(reader: Reader, name: str) -> None:
    page = _Page(reader, name)
    await page.load()
    titled(name, reader.say)
    page.lay_out()


class _Page:
    def __init__(self, reader: Reader, name: str) -> None:
        self.reader = reader
        self.name = name
        self.model: Found = {}
        self.deployments: list[Found] = []

    async def load(self) -> None:
        api = self.reader.api
        self.model, page = await asyncio.gather(api.get(f"/models{local(self.name)}"), api.get("/deployments", limit=200))
        self.deployments = [d for d in page["items"] if d["model"] == self.name]

    def lay_out(self) -> None:
        say, found = self.reader.say, self.model
        with div("page-head"):
            with div("crumbs"):
                link(say(Model.ALL), "/models")
            with div("title-row"):
                el("h1", found["name"])
                ident(found["id"], say)
            if found["description"]:
                el("p", found["description"], "muted")
        with div("columns"):
            with div("column-main"):
                self.served = place()
                self._versions()
                self.code = place()
            with div("column-side"):
                self.chat = ChatBox(self.reader, self.name)
        self._refresh()
        self.timer = ui.timer(LOOK_SECONDS, self._look, active=self._moving())

    def _moving(self) -> bool:
        return any(d["state"] in MOVING for d in self.deployments)

    async def _look(self) -> None:
        """While a deployment starts, ask how it is."""
        before = [(d["id"], d["state"]) for d in self.deployments]
        if not await attempt(self.load(), self.reader.say):
            self.timer.deactivate()
            return
        if before != [(d["id"], d["state"]) for d in self.deployments]:
            self._refresh()
        if not self._moving():
            self.timer.deactivate()

    def _refresh(self) -> None:
        ready = next((d for d in self.deployments if d["state"] == "ready"), None)
        self.served.clear()
        with self.served:
            self._deployments()
        self.chat.serve(str(ready["base_url"]) if ready else None)
        self.code.clear()
        base_url = next((str(d["base_url"]) for d in self.deployments), None)
        if base_url:
            with self.code, card(self.reader.say(Model.CODE)):
                el("p", self.reader.say(Model.CODE_TEXT), "muted")
                code_block(snippet(base_url, self.name, self.reader.say(Model.SNIPPET_PROMPT)), self.reader.say, self.reader.say(Model.CODE))

    def _deployments(self) -> None:
        say = self.reader.say
        with card(say(Model.DEPLOYMENTS)):
            if not self.deployments:
                empty(say(Model.NO_DEPLOYMENTS), say(Model.NO_DEPLOYMENTS_TEXT), say, line=f"zhisuan models deploy {self.name}")
                return
            live = [d for d in self.deployments if d["ended_at"] is None]
            ended = [d for d in self.deployments if d["ended_at"] is not None]
            for deployment in live:
                self._deployment(deployment)
            if not live:
                el("p", say(Model.NO_DEPLOYMENTS), "muted")
            if ended:
                with el("details", "", "more"):
                    el("summary", say(Model.ENDED_ONES, count=len(ended)))
                    for deployment in ended:
                        self._deployment(deployment)

    def _deployment(self, found: Found) -> None:
        say, tokens = self.reader.say, found["tokens"]
        with div("deployment"):
            with div("title-row"):
                deployment_chip(found["state"], say)
                el("span", say(Model.VERSION, number=found["version"]), "strong")
                ident(found["id"], say, href=local("trace", found["id"]))
                div("spacer")
                if found["ended_at"] is None and found["state"] not in ("ended", "failed"):
                    button(say(Model.STOP), lambda: self._ask_stop(found), "small")
            facts([
                (say(Model.ADDRESS), lambda: ident_text(found["base_url"], self.reader)),
                (say(Model.WORKLOAD), lambda: ident(found["workload_id"], say, href=local("workloads", found["workload_id"]))),
                (say(Model.REPLICAS), count(int(found["ready_replicas"]))),
                (say(Model.CREATED), moment_zoned(found["created_at"])),
                (say(Model.CALLS), count(int(tokens["calls"]))),
                (say(Model.TOKENS_IN), count(int(tokens["input"]))),
                (say(Model.TOKENS_CACHED), count(int(tokens["cached_input"]))),
                (say(Model.TOKENS_OUT), count(int(tokens["output"]))),
            ])  # fmt: skip

    def _versions(self) -> None:
        say = self.reader.say
        columns = (
            Column(say(Model.VERSIONS)), Column(say(Model.EVALUATION), wide=True), Column(say(Model.LINEAGE)), Column(""),
        )  # fmt: skip
        with card(say(Model.VERSIONS)):
            table(say(Model.VERSIONS), columns, [self._version_row(v) for v in self.model["versions"]])

    def _version_row(self, version: Found) -> list[Any]:
        say = self.reader.say
        size = sum(int(f["size_bytes"]) for f in version["files"])

        def lineage() -> None:
            with div("cell-stack"):
                ident(version["workload_id"], say, href=local("workloads", version["workload_id"]))
                el("span", say(Model.FILES_SUM, count=count(len(version["files"])), size=bytes_text(size)), "hint")

        def act() -> None:
            if self.reader.may("org:model:write"):
                button(say(Model.DEPLOY), lambda: self._ask_deploy(version), "small")

        return [
            lambda: ident_of_version(self.reader, version),
            lambda: evaluation_figures(self.reader, version["evaluation"], FIGURES_MAX),
            lineage,
            act,
        ]

    def _ask_deploy(self, version: Found) -> None:
        say = self.reader.say
        with dialog(say(Model.DEPLOY_TITLE, number=version["number"])) as box:
            el("p", say(Model.DEPLOY_TEXT), "muted")

            async def go(sent: dict[str, str]) -> None:
                body = {
                    "model": self.name, "version": int(version["number"]), "cpus": int(sent["cpus"]),
                    "memory_gib": int(sent["memory"]),
                }  # fmt: skip
                if await attempt(self.reader.api.post("/deployments", body), say):
                    box.close()
                    tell(say(Model.DEPLOYED))
                    await self.load()
                    self._refresh()
                    self.timer.activate()

            with form(go):
                with div("field-row"):
                    field("cpus", say(Model.CPUS), type="number", min="1", max="1024", required=True, value="1")
                    field("memory", say(Model.MEMORY_GIB), type="number", min="1", max="16384", required=True, value="2")
                with dialog_actions():
                    button(say(Frame.CANCEL_DIALOG), box.close)
                    el("button", say(Model.DEPLOY), "button primary", type="submit")
        box.open()

    def _ask_stop(self, found: Found) -> None:
        say = self.reader.say
        with self.served, dialog(say(Model.STOP_TITLE, name=self.name)) as box:
            el("p", say(Model.STOP_TEXT))

            async def go() -> None:
                box.close()
                if await attempt(self.reader.api.post(f"/deployments{local(found['id'])}/stop"), say):
                    tell(say(Model.STOPPED))
                    await self.load()
                    self._refresh()

            with dialog_actions():
                button(say(Model.KEEP), box.close)
                button(say(Model.STOP), go, "danger")
        box.open()


def ident_of_version(reader: Reader, version: Found) -> None:
    with div("cell-stack"):
        el("span", reader.say(Model.VERSION, number=version["number"]), "strong")
        el("span", moment_zoned(version["created_at"]), "hint figure")
        ident(version["id"], reader.say, href=local("trace", version["id"]))


def ident_text(text: str, reader: Reader) -> None:
    with el("span", "", "ident"):
        el("span", text, "mono")
        copy_button(text, reader.say(Frame.COPY))


def evaluation_figures(reader: Reader, evaluation: Found | None, most: int) -> None:
    """The first figures of an evaluation, whatever its shape; lists of examples are left out."""
    figures = list(flat(evaluation or {}))[:most]
    if not figures:
        el("span", reader.say(Model.NO_EVALUATION), "hint")
        return
    with el("ul", "", "figures"):
        for name, value in figures:
            with el("li"):
                el("span", name, "hint")
                el("span", value, "figure")


def flat(found: Found, before: str = "") -> Sequence[tuple[str, str]]:
    """``{"a": {"b": 1}}`` as ``a.b`` and ``1``."""
    rows: list[tuple[str, str]] = []
    for name, value in found.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{before}{name}.")
        elif not isinstance(value, list) and value is not None:
            rows.append((f"{before}{name}", str(value)[:TEXT_MAX]))
    return rows


def snippet(base_url: str, model: str, prompt: str) -> str:
    """Python that calls the model with the ``openai`` package; texts are quoted as Python does."""
    return (
        "import os\n"
        "from openai import OpenAI\n\n"
        f"client = OpenAI(base_url={base_url!r}, api_key=os.environ['ZHISUAN_API_KEY'])\n"
        "answer = client.chat.completions.create(\n"
        f"    model={model!r},\n"
        f"    messages=[{{'role': 'user', 'content': {prompt!r}}}],\n"
        "    stream=True,\n"
        ")\n"
        "for piece in answer:\n"
        "    print(piece.choices[0].delta.content or '', end='', flush=True)\n"
    )
