"""The order, station by station. Every step can be repeated: what was done already answers as it did the first time."""

import time
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import zhisuan
from zhisuan.app.quickstart.chat import ask_the_model
from zhisuan.app.quickstart.screen import Screen
from zhisuan.app.quickstart.state import RunState
from zhisuan.app.supervisor import Supervisor
from zhisuan.base.clock import SHANGHAI, Clock
from zhisuan.base.errors import Unavailable
from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.sdk import Client
from zhisuan.sdk.types.registry import Deployment
from zhisuan.sdk.types.work import ENDED, LogEvent, WorkloadDetail

MODEL = "scenic-qa"
PACK = "pack-mini"
TOP_UP_YUAN = "20.00"
SERVICE_CPUS = 1
SERVICE_MEMORY_GIB = 2
READY_SECONDS = 120.0
SETTLED_SECONDS = 60.0
OVER = ("ended", "failed")


class Quickstart:
    """One run over a running platform."""

    def __init__(self, platform: Supervisor, state: RunState, screen: Screen, clock: Clock, example: Path) -> None:
        self.platform, self.state, self.screen, self.clock, self.example = platform, state, screen, clock, example
        self.operator = self._signed_in("operator@localhost", platform.secrets.operator_password)
        self.provider = self._signed_in("provider@localhost", platform.secrets.operator_password)
        self.tenant: Client
        self.facts: dict[str, Any] = {}

    def _signed_in(self, email: str, password: str) -> Client:
        url = self.platform.addresses.server_url
        with Client(url, language=self.screen.language) as anyone:
            return Client(url, anyone.sign_in(email, password).secret, language=self.screen.language)

    def close(self) -> None:
        for client in (self.operator, self.provider, *([self.tenant] if hasattr(self, "tenant") else [])):
            client.close()

    # 1 ------------------------------------------------------------------------------------------------------------

    def supply(self) -> None:
        """This machine as a site: what it is, what it was measured at, what it is rated at."""
        show = self.screen
        show.station("1", Text("Supply: this machine joins as a site of a provider", "供给：本机作为提供方的站点加入"))
        site = self.provider.site(str(self.platform.site_id)).as_json()
        isolation = site["engine"]["isolation"]
        show.good(
            Text("site", "站点"),
            f"{site['name']} · {site['region_name'][show.language]} · PUE {decimal_text(site['pue_milli'], 3)}",
        )
        for node in site["nodes"]:
            for device in node["devices"]:
                show.fact(Text("device", "设备"), _device_line(device, show.language))
        if isolation == "none":
            show.bad(Text("isolation: none", "隔离：无"))
        else:
            show.good(Text("isolation of tenants' work", "租户作业隔离"), str(isolation))
        for problem in site["engine"].get("problems", []):
            show.bad(
                Text(problem.get("message_en", ""), problem.get("message_zh", "")),
                problem.get(f"remedy_{show.language}", ""),
            )
        self.facts["supply"] = site

    # 2 ------------------------------------------------------------------------------------------------------------

    def catalogue(self) -> None:
        """Prices, a tenant with its free quota, a wallet, a pack."""
        show, state = self.screen, self.state
        show.station(
            "2",
            Text("Catalogue: a tenant signs up, tops up and buys a compute pack", "目录：租户注册、充值、购买算力包"),
        )
        prices = files("zhisuan.app.quickstart").joinpath("prices.yaml").read_text(encoding="utf-8")
        self.operator.publish_price_book(prices, idempotency_key=state.key("prices"))
        book = self.operator.catalog().as_json()
        show.fact(
            Text("price book", "价目表"),
            f"v{book['version']} · 18.00 {show.text(Text('yuan/度 on demand; sizes of free quota and pack are small on purpose', '元/度 按需；免费额度与算力包特意取小'))}",
        )
        name = f"黄山文旅演示 Scenic demo {state.run}"
        email = f"quickstart-{state.run}@example.com"
        made = self.operator.sign_up(
            "tenant", name, "quickstart", email, state.password, idempotency_key=state.key("tenant")
        )
        self.tenant = self._signed_in(email, state.password)
        state.keep(began=True, org_id=made.organisation_id, email=email, tenant=name)
        show.good(Text("tenant", "租户"), name)
        top_up = self.operator.top_up(
            made.organisation_id, TOP_UP_YUAN, f"quickstart {state.run}", idempotency_key=state.key("top-up")
        )
        order = self.tenant.buy(PACK, idempotency_key=state.key("pack"))
        wallet = self.tenant.wallet().as_json()
        show.good(Text("wallet", "钱包"), f"+{TOP_UP_YUAN} {self._yuan()}")
        show.good(
            Text("pack", "算力包"),
            f"{PACK} · {decimal_text(order.quantity_udu, 6)} 度 · {decimal_text(order.amount_ucny, 6, at_least=2)} {self._yuan()}",
        )
        for grant in wallet["grants"]:
            show.fact(Text("grant", "额度"), f"{grant['product']} {decimal_text(grant['left_udu'], 6)} 度")
        self.facts["catalogue"] = {
            "price_book_version": book["version"], "on_demand_price_e8_per_du": book["book"]["on_demand_price_e8_per_du"],
            "top_up": top_up.as_json(), "order": order.as_json(), "wallet": wallet,
        }  # fmt: skip

    def _yuan(self) -> str:
        return self.screen.text(Text("yuan", "元"))

    # 3 ------------------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Launch the training job, follow it to its end, and look at what it left."""
        show, state = self.screen, self.state
        show.station(
            "3",
            Text("Workload, placement, lease, execution: a model is trained", "工作负载、放置、租约、执行：训练模型"),
        )
        launched = self.tenant.launch(self.example / "train.yaml", idempotency_key=state.key("train"))
        state.keep(job_id=launched.workload.id)
        show.good(Text("launched", "已启动"), launched.workload.id)
        placement = launched.placement
        if placement is not None and placement.reason is not None:
            show.fact(Text("placed", "放置"), placement.reason.in_language(show.language))
            for candidate in placement.candidates:
                show.fact(Text("compared", "比较"), _candidate_line(candidate.as_json(), show.language))
        if not self.tenant.workload(launched.workload.id).ended:
            self._follow(launched.workload.id)
        job = self.tenant.workload(launched.workload.id)
        if job.state != "succeeded":
            state.keep(done=True)
            raise Unavailable(
                Text(
                    f"The training job ended as {job.state} ({job.reason}): {job.message or ''}",
                    f"训练作业以 {job.state} 结束（{job.reason}）：{job.message or ''}",
                ),
                Text(
                    f"Its output: zhisuan logs {job.id}. Run the quickstart again for a new attempt.",
                    f"输出：zhisuan logs {job.id}。再次运行 quickstart 将重新尝试。",
                ),
                code="job_failed",
            )
        artefacts = [a.as_json() for a in self.tenant.artefacts(job.id)]
        seconds = job.leases[-1].seconds or 0
        show.good(Text("succeeded", "成功"), f"{seconds} s · {len(artefacts)} {show.text(Text('artefacts', '个产物'))}")
        version = self.tenant.register_model(
            MODEL,
            job.id,
            path="model",
            evaluation_path="evaluation.json",
            description="黄山问答 Huangshan Q&A",
            idempotency_key=state.key("register"),
        )
        evaluation = version.evaluation or {}
        _show_evaluation(show, evaluation)
        self.facts["evaluation"] = evaluation
        self.facts["model"] = {"name": MODEL, **version.as_json()}
        self.facts["artefacts"] = artefacts

    def _follow(self, job_id: str) -> None:
        with self.screen.bar(Text("training", "训练中")) as bar:
            for event in self.tenant.watch(job_id):
                self.platform.tend()
                if isinstance(event, LogEvent):
                    for line in event.text.splitlines():
                        self.screen.output(line)
                elif event.workload.progress_ppm is not None:
                    bar.at(event.workload.progress_ppm)

    # 4 ------------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Deploy the version, talk to it with the official client, and end the deployment."""
        show, state = self.screen, self.state
        show.station(
            "4", Text("Model service: the official openai client talks to it", "模型服务：用官方 openai 客户端对话")
        )
        deployed = self._deployed()
        state.keep(deployment_id=deployed.id, service_id=deployed.workload_id)
        if deployed.state not in OVER:
            self._until_ready(deployed.id)
            key = self.tenant.create_key("quickstart").secret
            talk = ask_the_model(f"{self.platform.addresses.gateway_url}/v1", key, MODEL, self.example, show)
            state.keep(talk=talk)
        self.tenant.stop_deployment(deployed.id)
        self._until_ended(str(deployed.workload_id))
        self.facts["service"] = {"deployment": self.tenant.deployment(deployed.id).as_json(), "talk": state.get("talk")}

    def _deployed(self) -> Deployment:
        """The deployment of this run as it is now: one that can be talked to, or that has been; a repeated call is answered
        as it was then, and an interrupted run may have left one that ended unheard."""
        while True:
            tries = int(self.state.get("deploys") or 0)
            key = self.state.key(f"deploy-{tries}")
            asked = self.tenant.deploy(MODEL, cpus=SERVICE_CPUS, memory_gib=SERVICE_MEMORY_GIB, idempotency_key=key)
            now = self.tenant.deployment(asked.id)
            if now.state not in OVER or self.state.get("talk"):
                return now
            self.state.keep(deploys=tries + 1)

    def _until_ready(self, deployment_id: str) -> None:
        until = time.monotonic() + READY_SECONDS
        begun = time.monotonic()
        while (found := self.tenant.deployment(deployment_id)).state != "ready":
            if time.monotonic() > until or found.state in OVER:
                self.state.keep(deploys=int(self.state.get("deploys") or 0) + 1)
                raise Unavailable(
                    Text(
                        f"The model service did not become ready ({found.state}).",
                        f"模型服务未能就绪（{found.state}）。",
                    ),
                    Text(f"Its output: zhisuan logs {found.workload_id}", f"输出：zhisuan logs {found.workload_id}"),
                )
            self.platform.tend()
            time.sleep(0.2)
        self.screen.good(Text("ready", "已就绪"), f"{MODEL} · {time.monotonic() - begun:.1f} s")

    def _until_ended(self, workload_id: str) -> WorkloadDetail:
        until = time.monotonic() + SETTLED_SECONDS
        while (found := self.tenant.workload(workload_id)).state not in ENDED:
            if time.monotonic() > until:
                raise Unavailable(
                    Text(f"{workload_id} has not ended ({found.state}).", f"{workload_id} 未能结束（{found.state}）。"),
                    Text("Run the quickstart again; it goes on from here.", "请再次运行 quickstart，将从此处继续。"),
                )
            self.platform.tend()
            time.sleep(0.2)
        return found


def find_example() -> Path:
    """The example's folder: of this checkout, or as it came with the package. Raises ``Unavailable``."""
    package = Path(zhisuan.__file__).resolve().parent
    for folder in (package.parents[1] / "examples" / MODEL, package / "examples" / MODEL):
        if (folder / "train.yaml").is_file():
            return folder
    raise Unavailable(
        Text("The example of the quickstart is not installed.", "未安装快速上手所用的示例。"),
        Text("Name its folder with --example.", "请用 --example 指定示例目录。"),
    )


def _device_line(device: dict[str, Any], language: str) -> str:
    zh = language == "zh"
    if device["kind"] == "memory":
        return f"{device['name']} · {device['capacity'] // 1024} GiB"
    unit = ("核" if zh else "cores") if device["kind"] == "cpu" else ("卡" if zh else "cards")
    parts = [f"{device['name']} · {device['capacity'] // 1000} {unit}"]
    nominal, rate = device["nominal_tflops_milli"], device["published_rate_udu_per_hour"]
    parts.append(f"{'标称' if zh else 'nominal'} {decimal_text(nominal, 3) + ' TFLOPS' if nominal else '—'}")
    parts.append(f"{'公布' if zh else 'published'} {decimal_text(rate, 6) + ' 度/h' if rate else '—'}")
    measured = ", ".join(f"{m['precision']} {decimal_text(m['mflops'], 6)}" for m in device["measured"])
    parts.append(f"{'实测' if zh else 'measured'} {measured + ' TFLOPS' if measured else '—'}")
    return " · ".join(parts)


def _candidate_line(candidate: dict[str, Any], language: str) -> str:
    parts = ", ".join(f"{p['text'][language]} {_part_value(p)}" for p in candidate["score_parts"])
    return f"{candidate['rank']}. {candidate['site_name']}/{'+'.join(candidate['node_hostnames'])}: {parts}"


def _part_value(part: dict[str, Any]) -> str:
    value = int(part["value"])
    return {
        "ucny_per_hour": f"¥{decimal_text(value, 6, at_least=2)}",
        "mg_per_hour": f"{decimal_text(value, 3)} g",
        "millicores": decimal_text(value, 3),
    }.get(part["unit"], f"{value} {part['unit']}")


def _show_evaluation(show: Screen, evaluation: dict[str, Any]) -> None:
    trained, held = evaluation.get("trained", {}), evaluation.get("paraphrases", {})
    show.good(
        Text("trained questions answered exactly", "训练问题逐字答对"),
        f"{trained.get('exact')} / {trained.get('asked')}",
    )
    show.fact(
        Text("held-out paraphrases answered exactly", "未训练过的改写问题逐字答对"),
        f"{held.get('exact')} / {held.get('asked')}",
    )


def local_time(at: datetime) -> str:
    return at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S +08:00")
