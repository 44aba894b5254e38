"""Answers of the contract's shapes, made with the real answer types, for a test double of the platform.

Some names are hostile on purpose: they hold markup, templates and quotes, as a tenant could choose them.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from zhisuan.api import explained_schemas as x
from zhisuan.api import place_schemas as pl
from zhisuan.api import schemas as s
from zhisuan.api import site_schemas as p
from zhisuan.api import work_schemas as w
from zhisuan.api.routes import engine_accounts as e
from zhisuan.api.routes.billing import Bill, PurseSum, WorkloadCost
from zhisuan.api.routes.catalog import CatalogView, ClassView

NOW = datetime(2026, 8, 2, 6, 3, 22, tzinfo=UTC)
HOSTILE = """<img src=x onerror="window.hacked=1">{{7*7}}'"`${window.hacked=1}`</script>"""
GPU = "L40S"
DAY = timedelta(days=1)
PRICE_E8 = 1_800_000_000
IDS = "0123456789abcdefghjkmnpqrstvwxyz"


def ident(prefix: str, number: int) -> str:
    tail = ""
    for _ in range(8):
        number, digit = divmod(number * 7919 + 13, 32)
        tail = IDS[digit] + tail
    return f"{prefix}_01k1m9x2v7q4r8t0yz{tail}"


def words(en: str, zh: str) -> s.Words:
    return s.Words(en=en, zh=zh)


ORG = {"tenant": ("黄山智游科技有限公司", "tenant_owner"), "operator": ("合肥城市算力运营公司", "operator"),
       "provider": ("皖南高性能计算中心", "provider"), "city": ("市数据资源管理局", "city_viewer"),
       "member": ("黄山智游科技有限公司", "tenant_member")}  # fmt: skip
PEOPLE = {"tenant": "陈知行", "operator": "周明远", "provider": "Li Wei", "city": "王若溪", "member": "赵一诺"}

STATES = ("running", "pending", "succeeded", "failed", "starting", "cancelled", "placed", "succeeded")
NAMES = ("train scenic-qa", "eval scenic-qa", "serve guide", "embed notes", "long context finetune of the visitor companion", "流量预测 夜间重训")


def workload(number: int, state: str | None = None, name: str | None = None) -> s.WorkloadView:
    state = state or STATES[number % len(STATES)]
    kind = "service" if number % 5 == 2 else "job"
    created = NOW - timedelta(minutes=37 * number + 4)
    begun = state not in ("pending", "placed", "starting")
    over = state in ("succeeded", "failed", "cancelled")
    return s.WorkloadView(
        id=ident("svc" if kind == "service" else "job", number), kind=kind, name=name or NAMES[number % len(NAMES)], state=state,
        project_id=ident("prj", 1), created_at=created, started_at=created + timedelta(seconds=1) if begun else None,
        ended_at=created + timedelta(minutes=21, seconds=number) if over else None, created_by=ident("usr", 1),
        exit_code={"succeeded": 0, "failed": 1}.get(state), reason="failed" if state == "failed" else None,
        message="the command ended with 1: CUDA out of memory" if state == "failed" else None,
        progress_ppm={"running": 437_500, "succeeded": 1_000_000, "starting": 0}.get(state),
        progress_message="epoch 7 of 16, loss 0.0312" if state == "running" else None, attempts=1 + (number % 9 == 3),
        resources={"cpus_milli": 2000 + 500 * (number % 3), "memory_mib": 4096, "accelerators": [[GPU, 1]] if number % 4 == 0 else [], "num_nodes": 1},
        rate_udu_per_hour=650_000 if number % 4 == 0 else 50_000, price_e8_per_du=PRICE_E8,
    )  # fmt: skip


def lease(number: int, state: str, seconds: int, *, generation: int = 1, fault: str | None = None) -> s.LeaseView:
    start = NOW - timedelta(seconds=seconds + 60)
    return s.LeaseView(
        id=ident("lea", number), generation=generation, site_id=ident("site", 1), site_name="黄山一号", node_hostnames=["hs-gpu-03"],
        state=state, offered_at=start, accepted_at=start, active_from=start, active_to=None if state == "active" else NOW,
        closed_at=None if state == "active" else NOW, ready=None, exit_code=None if state == "active" else 0,
        reason=None, message="the site's power failed" if fault else None, fault=fault, rate_udu_per_hour=650_000, seconds=seconds,
    )  # fmt: skip


def candidate(number: int) -> dict[str, Any]:
    hour = (11_700_000, 11_700_000, 13_500_000, 18_000_000)[number % 4]
    carbon = 412_300 + 97_001 * number
    left = 1000 * (number + 1)
    return {
        "site_id": ident("site", number + 1), "site_name": ("黄山一号", "芜湖算力港", "宣城绿算", HOSTILE)[number % 4],
        "node_hostnames": [f"node-{number + 3:02}"], "rank": number + 1, "hour_ucny": hour, "rate_udu_per_hour": 650_000,
        "carbon_g_per_hour_milli": carbon,
        "score_parts": [
            {"name": "price", "value": hour, "unit": "ucny_per_hour", "text": {"en": "price an hour", "zh": "每小时价格"}},
            {"name": "carbon", "value": carbon, "unit": "mg_per_hour", "text": {"en": "carbon an hour", "zh": "每小时碳排放"}},
            {"name": "packing", "value": left, "unit": "millicores", "text": {"en": "cores left over", "zh": "节点剩余核数"}},
        ],
    }  # fmt: skip


REJECTED = [
    {"constraint": "accelerator_class", "count": 14, "text": {"en": "they have no L40S:1", "zh": "没有 L40S:1"},
     "unblock": {"en": "ask for another accelerator", "zh": "换用其他加速卡"}},
    {"constraint": "reachable", "count": 2, "text": {"en": "their site has not been heard from", "zh": "站点失联"},
     "unblock": {"en": "the site comes back", "zh": "等待站点恢复"}},
]  # fmt: skip


def placement(number: int) -> s.PlacementView:
    first = candidate(0)
    return s.PlacementView(
        id=ident("plc", number), at=NOW - timedelta(minutes=4),
        chosen={k: first[k] for k in ("site_id", "site_name", "node_hostnames")},
        candidates=[candidate(n) for n in range(11)], rejected=REJECTED,
        reason=words("黄山一号/node-03 is best of 11 that fit: lowest carbon an hour (location-based, modelled).",
                     "在 11 个可承接节点中，黄山一号/node-03 的每小时碳排放（基于位置，按额定功率估算）最低。"),
    )  # fmt: skip


def events(state: str, created: datetime) -> list[s.EventView]:
    path = {"pending": ["pending"], "placed": ["pending", "placed"]}.get(state, ["pending", "placed", "starting", "running"])
    if state == "starting":
        path = path[:3]
    if state in ("succeeded", "failed", "cancelled"):
        path = [*path, state]
    causes = {"pending": "launched", "placed": "placed on 黄山一号/node-03", "starting": "lease accepted", "running": "first instruction"}
    return [
        s.EventView(number=n, at=created + timedelta(milliseconds=310 * n), state=x, cause=causes.get(x, f"ended: {HOSTILE}"),
                    actor="陈知行" if n == 0 else "site 黄山一号", detail={})
        for n, x in enumerate(path)
    ]  # fmt: skip


FILE = f"""\
# {HOSTILE}
name: train scenic-qa
resources:
  accelerators: L40S:1
  cpus: 2
  memory: 4
run: |
  python train.py --epochs 16
zhisuan:
  artefacts: [model, evaluation.json]
"""


def detail(view: s.WorkloadView) -> w.WorkloadDetail:
    waiting = view.state == "pending"
    leases = [] if waiting else [
        lease(1, "closed", 133, fault="provider"),
        lease(2, "active" if view.state in ("running", "starting") else "closed", 2517, generation=2),
    ]  # fmt: skip
    return w.WorkloadDetail(
        **view.model_dump(), leases=leases, placement=None if waiting else placement(1), events=events(view.state, view.created_at),
        file=FILE, uploads=w.UploadsView(workdir_blob=None, mounts={}, files=[]),
    )  # fmt: skip


def grants() -> list[s.GrantView]:
    return [
        s.GrantView(id=ident("grt", 1), kind="free", product="free", quantity_udu=1_000_000, left_udu=212_500, created_at=NOW - 20 * DAY,
                    expires_at=NOW + 70 * DAY),
        s.GrantView(id=ident("grt", 2), kind="pack", product="pack-10", quantity_udu=10_000_000, left_udu=9_437_219, created_at=NOW - 9 * DAY,
                    expires_at=NOW + 356 * DAY),
    ]  # fmt: skip


def wallet() -> s.WalletView:
    return s.WalletView(wallet_ucny=1_284_500_125, arrears_ucny=0, spendable_udu=81_010_836, price_e8_per_du=PRICE_E8, grants=grants())


def daily() -> list[dict[str, Any]]:
    used = (0, 310_000, 1_204_000, 950_250, 0, 88_000, 2_410_125, 3_050_000, 1_777_000, 2_020_300, 640_000, 0, 1_505_000, 912_500)
    return [{"date": f"{NOW - (13 - n) * DAY:%Y-%m-%d}", "quantity_udu": q} for n, q in enumerate(used)]


def device(kind: str, name: str, capacity: int, allocated: int, **more: Any) -> s.DeviceView:
    given = {"class_id": None, "memory_mib": None, "nominal_tflops_milli": None, "published_rate_udu_per_hour": None,
             "measured": [], "health": "ok", "note": None, **more}  # fmt: skip
    return s.DeviceView(id=ident("dev", capacity + len(name)), key=kind, kind=kind, name=name, capacity=capacity, allocated=allocated, **given)


def measured(precision: str, mflops: int) -> s.MeasuredView:
    return s.MeasuredView(precision=precision, mflops=mflops, method="gemm 4096, best of 5", at=NOW - 3 * DAY)


def site(number: int = 1) -> s.SiteView:
    names = ("黄山一号", "芜湖算力港", "宣城绿算", HOSTILE, "池州实验室")
    states = ("open", "joining", "draining", "invited", "open")
    state = states[(number - 1) % 5]
    bad = number == 2
    problems = [{
        "code": "bwrap_missing", "message_en": "The program bwrap (bubblewrap) is not installed, so tenants' work cannot be isolated.",
        "message_zh": "未安装 bwrap（bubblewrap），无法隔离租户的作业。", "remedy_en": "Install it, for example: apt-get install bubblewrap.",
        "remedy_zh": "请安装，例如：apt-get install bubblewrap。",
    }]  # fmt: skip
    joined = state != "invited"
    return s.SiteView(
        id=ident("site", number), name=names[(number - 1) % 5], provider={"id": ident("org", 3), "name": ORG["provider"][0]}, state=state,
        reachable=joined and number != 5, region="CN-AH", region_name=words("Anhui", "安徽"), pue_milli=1280,
        engine={"engine": "local", "version": "0.1.0", "isolation": "none" if bad else "sandbox", "allow_unisolated": False, "limits": {},
                "problems": problems if bad else []} if joined else {},
        joined_at=NOW - 20 * DAY if joined else None, last_seen_at=NOW - timedelta(seconds=8) if joined else None,
        nodes=nodes() if joined else [], leases_running=3 if number == 1 else 0, city="黄山", latitude_e6=29_715_000,
        longitude_e6=118_337_000, tariff_ucny_per_kwh=452_000, clock_offset_ms=41, credential_since=NOW - 5 * DAY if joined else None,
        round_trip_us=8_420, use=[use()] if joined else [], recall=recall() if number == 3 else None, offer=offer(number),
    )  # fmt: skip


def offer(number: int) -> s.OfferView:
    closed = number == 3
    reason = words("the provider has taken the devices back", "提供方已收回设备") if closed else None
    windows = [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "22:00", "to": "08:00"}, {"days": ["sat", "sun"], "from": "00:00", "to": "24:00"}]
    return s.OfferView(offered=not closed, reason=reason, next_open=None, until=None if closed else NOW + DAY, zone="Asia/Shanghai",
                       windows=windows if number == 1 else [])  # fmt: skip


def recall() -> s.RecallView:
    return s.RecallView(id=ident("rcl", 1), state="stopping", stop_at=NOW, back_at=NOW + timedelta(minutes=10), until=NOW + DAY, notice_seconds=600,
                        reason="自用训练", asked_at=NOW, held_at=None)  # fmt: skip


def use() -> s.UseView:
    return s.UseView(kind="accelerator", class_id="nvidia-l40s-48g", name=words("NVIDIA L40S 48GB", "英伟达 L40S 48GB"), devices=8, total=8000,
                     allocated=5000, idle=2000, out=1000)  # fmt: skip


def site_tokens() -> list[p.TokenView]:
    return [
        p.TokenView(id=ident("jtk", n), hint=f"x{n}yz", state=state, created_at=NOW, created_by=ident("usr", 1), expires_at=NOW + DAY,
                    used_at=NOW if state == "used" else None, revoked_at=None)
        for n, state in ((1, "valid"), (2, "used"), (3, "expired"))
    ]  # fmt: skip


def site_evidence(site_id: str) -> p.SiteEvidence:
    flags = [p.FlagView(code="shortfall", en="measured at 58 % of what is claimed, below 80 %", zh="实测仅为声明值的 58%，低于 80%")]
    row = p.EvidenceView(
        class_id="nvidia-l40s-48g", kind="accelerator", name=words("NVIDIA L40S 48GB", "英伟达 L40S 48GB"), claimed_count=8, found_count=8,
        healthy_count=8, measured_count=8, claimed_tflops_milli=362_050, nominal_tflops_milli=362_050, published_rate_udu_per_hour=650_000,
        published_tflops_milli=202_800, measured_tflops_milli=211_402, measured_min_tflops_milli=209_998, measured_share_ppm=583_902,
        rate_factor_ppm=1_000_000, flags=flags,
    )  # fmt: skip
    verification = p.VerificationView(id=ident("vrf", 1), at=NOW - 3 * DAY, by=ident("usr", 1), note="现场查看", accepted=flags)
    return p.SiteEvidence(site_id=site_id, share_min_ppm=800_000, items=[row], verification=verification, factors=[])


def site_places() -> list[pl.PlaceLinkView]:
    good = pl.PlaceLinkView(place_id=ident("dpl", 1), place_name="合肥", site_id=ident("site", 1), site_name="黄山一号", direction="from_place",
                            round_trip_us=6_450, method="measured", source="ping of the hospital", at=NOW, bound_us=2_400, refused=False)  # fmt: skip
    return [good, good.model_copy(update={"place_name": HOSTILE, "direction": "from_site", "method": "stated", "refused": True})]


def explained(state: str) -> dict[str, Any]:
    """Of waiting work the steps, the one that binds and when it starts; of placed work the runners-up."""
    if state != "pending":
        more = [(1_800_000, 97_001, 4_200), (6_300_000, -12_000, -1_150)]
        rest = [
            x.RunnerUp(site_id=ident("site", n), site_name=("芜湖算力港", HOSTILE)[n], node_hostnames=["node-04"], rank=n + 2, hour_ucny_more=a,
                       carbon_g_per_hour_milli_more=b, round_trip_us_more=c)
            for n, (a, b, c) in enumerate(more)
        ]  # fmt: skip
        return {"runners_up": rest}
    far = x.StepView(alternative=0, constraint="site_latency", taken_out=4, left=12, unblock=words("allow a longer round trip", "放宽往返时延"),
                     text=words("no round trip is on record that keeps 合肥 ≤ 20 ms", "没有满足 合肥 ≤ 20 ms 的往返时延记录"))  # fmt: skip
    dear = x.StepView(alternative=0, constraint="price_max", taken_out=12, left=0, unblock=words("raise zhisuan.price_max", "提高 zhisuan.price_max"),
                      text=words("what is free there comes to more than ¥4.00 an hour", "当前空闲设备的价格高于每小时 ¥4.00"))  # fmt: skip
    return {"steps": [far, dear], "binding": dear, "expected_start": NOW + timedelta(minutes=47), "deadline": NOW + DAY}


def quoted_site(number: int) -> x.QuotedSite:
    marks: list[Any] = [["cheapest"], ["greenest", "nearest"], [], []][number]
    return x.QuotedSite(
        rank=number + 1, site_id=ident("site", number + 1), site_name=("黄山一号", "芜湖算力港", "宣城绿算", HOSTILE)[number],
        provider_name="皖南高性能计算中心", region="CN-AH", hour_ucny=11_700_000 + 900_000 * number, rate_udu_per_hour=650_000,
        carbon_g_per_hour_milli=412_300, green_ppm=(800_000, None)[number % 2], round_trips_us={"合肥": 6_450}, round_trip_us=6_450,
        alternative=0, marks=marks,
    )  # fmt: skip


def site_links() -> list[p.LinkView]:
    good = p.LinkView(site_id=ident("site", 7), site_name=HOSTILE, direction="to", at=NOW, tries=5, answered=5, median_us=14_250,
                      best_us=13_900, bound_us=6_500, refused=False, note=None)  # fmt: skip
    silent = good.model_copy(update={"median_us": None, "best_us": None, "answered": 0, "note": "Connection refused"})
    return [good, good.model_copy(update={"direction": "from", "best_us": 5_000, "refused": True}), silent]
def site_reconciliation(site_id: str) -> e.SiteReconciliation:
    return e.SiteReconciliation(
        site_id=site_id, tolerance_seconds=5, tolerance_per_cent=1, agrees=128, metered_more=1, metered_less=0, other_nodes=0,
        waiting=2, none=3,
    )  # fmt: skip


def site_earnings(site_id: str) -> p.SiteEarnings:
    row = p.SiteEarning(settlement_id=ident("stl", 1), invoice_id=ident("inv", 1), month="2026-07", at=NOW, leases=3, seconds=86_211,
                        quantity_udu=15_566_000, value_ucny=11_207_520, fee_fen=112, amount_fen=1_009)  # fmt: skip
    return p.SiteEarnings(site_id=site_id, amount_fen=1_009, fee_fen=112, value_ucny=11_207_520, unsettled_value_ucny=3_204_000, items=[row])


def nodes() -> list[s.NodeView]:
    devices = [
        device("cpu", "AMD EPYC 9354 32-Core Processor", 64_000, 21_500, class_id="cpu-core", nominal_tflops_milli=None,
               published_rate_udu_per_hour=25_000, measured=[measured("fp32", 1_912_345), measured("fp64", 960_120)]),
        device("memory", "main memory", 257_000, 96_256, memory_mib=257_000),
        device("accelerator", "NVIDIA L40S", 1000, 1000, class_id="nvidia-l40s", memory_mib=46_068, nominal_tflops_milli=362_050,
               published_rate_udu_per_hour=650_000, measured=[measured("fp16", 211_402_118), measured("bf16", 209_998_002)]),
        device("accelerator", "Ascend 910B", 1000, 0, class_id="ascend-910b", memory_mib=65_536, nominal_tflops_milli=376_000,
               health="degraded", note="ECC errors in the last hour"),
    ]  # fmt: skip
    return [s.NodeView(id=ident("node", n), hostname=f"hs-gpu-0{n}", os="Linux 6.6", architecture="x86_64", present=n != 2, facts={},
                       devices=devices if n == 1 else devices[:2]) for n in (1, 2)]  # fmt: skip


EVALUATION = {"exact_answer_rate": "0.981", "questions": 158, "paraphrases": {"asked": 40, "exact_answer_rate": "0.425"}, "examples": [1, 2]}


def version(number: int) -> s.VersionView:
    return s.VersionView(
        id=ident("mdv", number), number=number, created_at=NOW - (4 - number) * DAY, workload_id=ident("job", 6),
        files=[{"path": "model.safetensors", "size_bytes": 3_412_992, "sha256": "a" * 64}, {"path": "config.json", "size_bytes": 612, "sha256": "b" * 64}],
        evaluation=EVALUATION if number != 2 else None, created_by=ident("usr", 1),
    )  # fmt: skip


def model(name: str = "scenic-guide", number: int = 1, deployed: bool = True) -> s.ModelDetail:
    return s.ModelDetail(
        id=ident("mdl", number), name=name, description="景区问答小模型，闭域，158 个问答对" if number == 1 else HOSTILE,
        created_at=NOW - 4 * DAY, latest=version(3), deployed=deployed, versions=[version(3), version(2), version(1)],
    )  # fmt: skip


def charge(number: int, kind: str = "time") -> s.ChargeView:
    return s.ChargeView(
        id=ident("chg", number), kind=kind, subject=ident("lea", 2), lease_id=ident("lea", 2), at=NOW - timedelta(minutes=number), seconds=60,
        tokens=0, quantity_udu=10_833, value_ucny=194_994, cash_ucny=0 if number % 3 else 64_998, price_book_version=1, price_e8_per_du=PRICE_E8,
        invoice_line_id=None,
        rule=words("60 s of the lease = 0.010833 度 at its published rate; beyond grants 18.00 yuan/度 (price book 1)",
                   "租约 60 秒，按公布费率折 0.010833 度；额度用完后 18.00 元/度（价目第 1 版）"),
        slices=[s.SliceView(purse="free", grant_id=ident("grt", 1), quantity_udu=10_833, value_ucny=194_994, cash_ucny=0)] if number % 3 else
        [s.SliceView(purse="pack", grant_id=ident("grt", 2), quantity_udu=7_222, value_ucny=50_554, cash_ucny=0),
         s.SliceView(purse="wallet", grant_id=None, quantity_udu=3_611, value_ucny=64_998, cash_ucny=64_998)],
    )  # fmt: skip


def invoice(number: int = 1, month: str = "2026-07") -> s.InvoiceView:
    return s.InvoiceView(
        id=ident("inv", number), org_id=ident("org", 1), number=number, month=month, from_at=datetime(2026, 6, 30, 16, tzinfo=UTC),
        to_at=datetime(2026, 7, 31, 16, tzinfo=UTC), issued_at=NOW - DAY, total_ucny=70_412_345, total_fen=7041, rounding_ucny=-2_345,
    )  # fmt: skip


def invoice_detail(number: int = 1) -> s.InvoiceDetail:
    def line(n: int, kind: str, title: s.Words, quantity: int, amount: int, shown: int, **more: Any) -> s.InvoiceLineView:
        return s.InvoiceLineView(id=ident("inl", n), number=n, kind=kind, subject=ident("lea", n), title=title, quantity_udu=quantity,
                                 amount_ucny=amount, shown_fen=shown, detail={}, **{"seconds": 0, "tokens": 0, "value_ucny": amount, **more})  # fmt: skip

    return s.InvoiceDetail(**invoice(number).model_dump(), lines=[
        line(1, "time", words("Compute time of train scenic-qa", "train scenic-qa 的计算时长"), 22_750, 409_500, 41, seconds=126, value_ucny=409_500),
        line(2, "time", words(f"Compute time of {HOSTILE}", f"{HOSTILE} 的计算时长"), 5_000, 2_845, 0, seconds=720),
        line(3, "tokens", words("Tokens of scenic-guide", "scenic-guide 的 token"), 0, 0, 0, tokens=48_211),
        line(4, "pack", words("Compute pack pack-10", "算力包 pack-10"), 10_000_000, 70_000_000, 7000),
        line(5, "credit", words("Credit for train scenic-qa", "train scenic-qa 的赔付"), -1_000, 0, 0),
    ])  # fmt: skip


FACTOR = {"region": "CN-AH", "name": {"en": "Anhui", "zh": "安徽"}, "year": 2021, "basis": "average", "g_per_mwh": 763_900,
          "kg_per_kwh": "0.7639", "source": "MEE & NBS Notice 2024 No.12", "source_url": "https://www.mee.gov.cn/", "confidence": "medium"}  # fmt: skip
METHOD = {
    "measured": {"en": "Measured: time, in whole seconds.", "zh": "实测部分：时间，按整秒计量。"},
    "modelled": {"en": "Modelled: rated power of the leased share; no meter was read.", "zh": "模型估算部分：所租份额的额定功率，未读取电表。"},
}


def bill(month: str) -> Bill:
    cash = PurseSum(quantity_udu=3_611_000, cash_ucny=64_998_000, value_ucny=64_998_000)
    rows = [WorkloadCost(workload_id=ident("job", n), name=HOSTILE if n == 2 else NAMES[n % len(NAMES)], kind="job", seconds=3723 * (n + 1),
                         quantity_udu=412_125 * (n + 1), cash_ucny=1_204_331 * n, carbon_ug=91_200_311 * (n + 1) if n != 4 else None) for n in range(26)]  # fmt: skip
    return Bill(
        month=month, from_at=datetime(2026, 7, 31, 16, tzinfo=UTC), to_at=datetime(2026, 8, 31, 16, tzinfo=UTC), seconds=86_211,
        quantity_udu=14_821_036, tokens=s.TokenTotals(input=120_488, cached_input=31_002, output=48_211, calls=1204),
        by_purse={"free": PurseSum(quantity_udu=787_500, value_ucny=5_512_500), "pack": PurseSum(quantity_udu=10_422_536, value_ucny=72_957_752),
                  "wallet": cash, "arrears": PurseSum()},
        cash_ucny=64_998_000, value_ucny=143_468_252,
        energy={"it_uwh": 7_120_334_556_121, "facility_uwh": 9_114_028_231_834, "basis": "modelled", "method": METHOD},
        carbon={"location_ug": 6_962_206_166_398, "embodied_included": False, "factors": [FACTOR], "regions_without_factor": []},
        by_workload=rows, unbilled_cash_ucny=12_300_000, invoices=[invoice(2, month), invoice(1, month)],
    )  # fmt: skip


def checks(ok: bool = True) -> s.Checks:
    return s.Checks(items=[
        s.CheckView(name="zero_sum", ok=True, detail=words("every transaction's entries sum to zero (1,204 looked at)", "每笔交易的分录合计为零（共 1,204 笔）")),
        s.CheckView(name="usage_is_lease_time", ok=ok, detail=words("metered seconds equal lease time", "计量秒数等于租约时长")),
        s.CheckView(name="splits", ok=True, detail=words("every split is exact to the fen", "每次分成精确到分")),
    ])  # fmt: skip


def catalog() -> CatalogView:
    def cls(class_id: str, vendor: str, name: str, memory: int | None, nominal: int | None, rate: int | None) -> ClassView:
        return ClassView(class_id=class_id, kind="accelerator", vendor=vendor, model=name, name=words(name, name), memory_mib=memory,
                         nominal_fp16_tflops_milli=nominal, published_rate_udu_per_hour=rate, rate_basis="published", confidence="high", source="data sheet")  # fmt: skip

    def pack(product: str, quantity: int, yuan: int) -> dict[str, Any]:
        return {"product": product, "name": {"en": f"{quantity} DCU pack", "zh": f"{quantity} 度算力包"}, "quantity_udu": quantity * 10**6,
                "price_ucny": yuan * 10**6, "valid_days": 365}  # fmt: skip

    book = {"currency": "CNY", "on_demand_price_e8_per_du": PRICE_E8, "device_rates": {"nvidia-l40s": 650_000, "cpu-core": 25_000},
            "cpu_with_accelerator_free": True, "free_quota": {"quantity_udu": 1_000_000, "valid_days": 90, "provider_value_ppm": 388_889},
            "packs": [pack("pack-10", 10, 70), pack("pack-100", 100, 700), pack("pack-1000", 1000, 7000)],
            "tokens": {"dedicated": {"input_udu_per_million": 0, "cached_input_udu_per_million": 0, "output_udu_per_million": 0}},
            "platform_fee_ppm": 100_000}  # fmt: skip
    return CatalogView(version=1, effective_from=NOW - 40 * DAY, book=book, device_classes=[
        cls("cpu-core", "–", "CPU core", None, None, 25_000), cls("nvidia-l40s", "NVIDIA", "L40S", 49_152, 362_050, 650_000),
        cls("nvidia-a100-80g", "NVIDIA", "A100 SXM4 80GB", 81_920, 312_000, 1_000_000), cls("nvidia-h800", "NVIDIA", "H800", 81_920, 989_500, 2_560_000),
        cls("ascend-910b", "Huawei", "Ascend 910B", 65_536, 376_000, None), cls("mlu-590", "Cambricon", "MLU590", 81_920, 314_000, None),
    ])  # fmt: skip


def trace(asked: str) -> s.Trace:
    def rec(i: str, en: str, zh: str, **facts: Any) -> dict[str, Any]:
        return {"id": i, "title": {"en": en, "zh": zh}, "facts": facts}

    at = NOW.isoformat()
    job, lea = ident("job", 0), ident("lea", 2)
    found = {
        "supply": [rec(ident("dev", 1), "NVIDIA L40S of hs-gpu-03, site 黄山一号", "站点 黄山一号 节点 hs-gpu-03 的 NVIDIA L40S", site_id=ident("site", 1),
                       kind="accelerator", class_id="nvidia-l40s", region="CN-AH", pue_milli=1280, provider_id=ident("org", 3))],
        "catalogue": [rec(ident("quo", 1), "Quote", "报价", price_book_version=1, rate_udu_per_hour=650_000, price_yuan_per_du="18.00",
                          shape=[{"kind": "cpu", "class_id": "cpu-core", "amount": 2000}], platform_fee_ppm=100_000)],
        "workload": [rec(job, f"job {HOSTILE}", f"作业 {HOSTILE}", state="succeeded", created_at=at, created_by=ident("usr", 1))],
        "placement": [rec(ident("plc", 1), "lowest carbon of 11", "11 个节点中碳排放最低", at=at, compared=11, rejected={"reachable": 2})],
        "lease": [rec(lea, "Lease, generation 2", "租约，第 2 代", state="closed", site_id=ident("site", 1), workload_id=job, active_from=at, active_to=at)],
        "execution": [rec(lea, "Run", "运行", exit_code=0, reason="completed", cpu_milliseconds=4_117_020, memory_peak_bytes=812_331_008),
                      *(rec(ident("art", n), f"Artefact model/part-{n}", f"产物 model/part-{n}", size_bytes=3_412_992, sha256="a" * 64) for n in range(8))],
        "usage": [rec(lea, "42 windows", "42 个计量窗口", windows=42, seconds=2517, quantity_du="0.454458", first=at, last=at)],
        "charge": [rec(ident("chg", 1), "42 time charges paid by free", "42 笔免费额度支付的时长计费", lease_id=lea, grant_id=ident("grt", 1), quantity_du="0.454458",
                       value_yuan="8.180244", cash_yuan="0.00")],
        "invoice": [rec(ident("inl", 1), "Line 1 of invoice 1 (time)", "账单 1 第 1 行（time）", invoice_id=ident("inv", 1), subject=lea, seconds=2517, amount_yuan="0.41", shown_fen=41)],
        "settlement": [],
        "carbon": [rec(lea, "Energy and carbon (modelled from rated power)", "能耗与碳排放（按额定功率估算）", power_milliwatts=350_000, pue="1.28", energy_kwh="0.313227", carbon_g="239.274", factor=FACTOR)],
    }  # fmt: skip
    return s.Trace.model_validate({"id": asked, "stations": [{"station": k, "records": v} for k, v in found.items()]})
