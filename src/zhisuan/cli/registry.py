"""``models``: what jobs left, as versions that can be served."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

from zhisuan.cli.figures import NONE, count, moment, time_of_day
from zhisuan.cli.output import Screen, items, print_json, show, style_of
from zhisuan.cli.params import JsonFlag, Limit
from zhisuan.cli.session import connect
from zhisuan.cli.text import arg, opt, state, t, yes_no

if TYPE_CHECKING:
    from zhisuan.sdk.types import Deployment, ModelDetail

ModelName = Annotated[str, arg("Name of the model.", "模型名称。", metavar="NAME")]


def list_models(limit: Limit = 50, as_json: JsonFlag = False) -> None:
    with connect() as client:
        models = list(islice(client.models(), limit))
        deployments = list(islice(client.deployments(), limit))
    if as_json:
        print_json({**items(models), "deployments": items(deployments)["items"]})
        return
    screen = Screen()
    if not models:
        screen.note(
            t(
                "No models yet; 'zhisuan models register NAME --from JOB' makes one from what a job left.",
                "还没有模型；用 zhisuan models register NAME --from JOB 登记作业产物。",
            )
        )
        return
    screen.table(
        "name >latest deployed !created",
        [
            (m.name, count(m.latest.number if m.latest else None), yes_no(m.deployed), time_of_day(m.created_at))
            for m in models
        ],
    )
    if deployments:
        screen.line()
        _draw_deployments(screen, deployments)


def _draw_deployments(screen: Screen, found: "list[Deployment]") -> None:
    screen.table(
        "!id model >version !state >tokens",
        [(d.id, d.model, str(d.version), state(d.state), str(d.tokens.input + d.tokens.output)) for d in found],
        [style_of(d.state) for d in found],
    )


def show_model(name: ModelName, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.model(name)
    show(as_json, found.as_json(), lambda screen: _draw_model(screen, found))


def _draw_model(screen: Screen, found: "ModelDetail") -> None:
    screen.facts(
        [
            (t("Name", "名称"), found.name),
            (t("About", "说明"), found.description or NONE),
            (t("Served", "已部署"), yes_no(found.deployed)),
        ]
    )
    for version in found.versions:
        screen.line()
        screen.title(t(f"Version {version.number}", f"版本 {version.number}"))
        facts = [
            (t("Made", "登记"), moment(version.created_at)),
            (t("From", "来源作业"), version.workload_id or NONE),
            (
                t("Files", "文件"),
                f"{len(version.files)}, {sum(f.size_bytes for f in version.files)} {t('bytes', '字节')}",
            ),
        ]
        if isinstance(version.evaluation, dict):
            facts += [
                (str(name), str(value))
                for name, value in version.evaluation.items()
                if not isinstance(value, (dict, list))
            ]
        screen.facts(facts)


def register(
    name: ModelName,
    source: Annotated[
        str, opt("--from", metavar="JOB", en="The job whose artefacts it is made of.", zh="产物来源作业。")
    ],
    path: Annotated[
        str, opt("--path", metavar="PATH", en="Where among the artefacts the model is.", zh="模型在产物中的路径。")
    ] = "model",
    evaluation: Annotated[
        str | None,
        opt(
            "--evaluation",
            metavar="PATH",
            en="The artefact with the evaluation (JSON).",
            zh="评测结果（JSON）产物的路径。",
        ),
    ] = None,
    description: Annotated[
        str | None, opt("--description", metavar="TEXT", en="What the model is for.", zh="模型说明。")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.register_model(name, source, path=path, evaluation_path=evaluation, description=description)
    show(
        as_json,
        made.as_json(),
        lambda screen: screen.line(
            t(
                f"{name} version {made.number}: {len(made.files)} files. 'zhisuan models deploy {name}' serves it.",
                f"{name} 版本 {made.number}：{len(made.files)} 个文件。部署：zhisuan models deploy {name}",
            )
        ),
    )


def deploy(
    name: ModelName,
    version: Annotated[
        int | None,
        opt("--version", metavar="N", en="Which version; the newest otherwise.", zh="版本号；默认最新版本。"),
    ] = None,
    cpus: Annotated[int | None, opt("--cpus", metavar="N", min=1, en="Cores.", zh="CPU 核数。")] = None,
    memory: Annotated[
        int | None, opt("--memory", metavar="GIB", min=1, en="Memory in GiB.", zh="内存（GiB）。")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.deploy(name, version=version, cpus=cpus, memory_gib=memory)

    def draw(screen: Screen) -> None:
        screen.facts(
            [
                (t("Deployment", "部署"), made.id),
                (t("Model", "模型"), t(f"{made.model} version {made.version}", f"{made.model} 版本 {made.version}")),
                (t("State", "状态"), state(made.state)),
                (t("Address", "地址"), made.base_url or NONE),
            ]
        )
        screen.note(
            t(f"'zhisuan chat {made.model}' talks to it once it is ready.", f"就绪后可对话：zhisuan chat {made.model}")
        )

    show(as_json, made.as_json(), draw)


def stop(
    deployment: Annotated[str, arg("Id of the deployment.", "部署编号。", metavar="DEPLOYMENT")],
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.stop_deployment(deployment)
    show(as_json, found.as_json(), lambda screen: screen.line(f"{found.id} {state(found.state)}"))
