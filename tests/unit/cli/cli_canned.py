"""Canned answers of a platform, and the commands that are shown and asked over them."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from cli_canned_sites import OPEN, TERMS, site_answers, site_pages

AT = "2026-08-01T01:02:03Z"
JOB, SITE, ORG = "job_01k3x9t0qd6jv2m4c8w5r7n1ez", "site_01k3x8zz1hq0c5m9d2v7b4t6ks", "org_01k3x7a4y2s8f6g1p3j5h7k9mn"
WORKLOAD = {
    "id": JOB, "kind": "job", "name": "黄山问答训练", "state": "running", "project_id": "prj_1", "created_at": AT,
    "started_at": "2026-08-01T01:02:05Z", "ended_at": None, "created_by": "usr_1", "exit_code": None, "reason": None,
    "message": None, "progress_ppm": 425_000, "progress_message": "epoch 17", "attempts": 1,
    "resources": {"cpus_milli": 2000, "memory_mib": 2048, "accelerators": [["A100", 1]], "num_nodes": 1},
    "rate_udu_per_hour": 50_000, "price_e8_per_du": 72_000_000,
}  # fmt: skip
WORKSPACE_ID = "wsp_01k2qzv0000000000000000001"
WORKSPACE = WORKLOAD | {
    "id": WORKSPACE_ID, "kind": "workspace", "name": "分析", "progress_ppm": None, "progress_message": None, "session": "shell",
    "status": "ready", "site_name": "合肥一号", "seconds": 600, "cash_ucny": 6_000, "charged_udu": 8_333, "hour_ucny": 36_000,
    "gateway_url": "http://gateway.test",
}  # fmt: skip
CANDIDATE = {
    "site_id": SITE, "site_name": "合肥一号", "node_hostnames": ["node-a"], "rank": 1, "hour_ucny": 36_000,
    "rate_udu_per_hour": 50_000, "carbon_g_per_hour_milli": 8_123,
    "score_parts": [
        {"name": "price", "value": 36_000, "unit": "ucny_per_hour", "text": {"en": "price an hour", "zh": "每小时价格"}},
        {"name": "carbon", "value": 8_123, "unit": "mg_per_hour", "text": {"en": "carbon an hour", "zh": "每小时碳排放"}},
        {"name": "packing", "value": 2_000, "unit": "millicores", "text": {"en": "cores left over", "zh": "节点剩余核数"}},
    ],
}  # fmt: skip
PLACEMENT = {
    "id": "plc_1", "at": AT, "chosen": {"site_id": SITE, "site_name": "合肥一号", "node_hostnames": ["node-a"]},
    "candidates": [CANDIDATE, CANDIDATE | {"site_name": "Wuhu", "node_hostnames": ["w1"], "rank": 2, "hour_ucny": 40_000}],
    "rejected": [{"constraint": "memory", "count": 3, "text": {"en": "3 nodes have less than 2048 MiB free.", "zh": "3 个节点空闲内存不足 2048 MiB。"}, "unblock": {"en": "Ask for less memory.", "zh": "请减少内存。"}}],
    "reason": {"en": "The cheapest of 2 that can run it.", "zh": "2 个可用节点中价格最低。"},
}  # fmt: skip
LEASE = {
    "id": "lea_01k3x9t0qd6jv2m4c8w5r7n1ez", "generation": 1, "site_id": SITE, "site_name": "合肥一号", "node_hostnames": ["node-a"],
    "state": "active", "offered_at": AT, "accepted_at": AT, "active_from": AT, "active_to": None, "closed_at": None,
    "ready": None, "exit_code": None, "reason": None, "message": None, "fault": None, "rate_udu_per_hour": 50_000, "seconds": 61,
}  # fmt: skip
TEMPLATE = {
    "name": "hello", "title": {"en": "Hello", "zh": "入门作业"}, "about": {"en": "a first job: five lines of output", "zh": "第一个作业：输出五行文字"},
    "file": "name: hello\nrun: echo hello\n",
}  # fmt: skip
GRANT = {"id": "grt_01k3x9t0qd6jv2m4c8w5r7n1ez", "kind": "pack", "product": "pack-20", "quantity_udu": 20_000_000,
         "left_udu": 19_999_153, "created_at": AT, "expires_at": "2027-08-01T01:02:03Z"}  # fmt: skip
WALLET = {"wallet_ucny": 7_400_001, "arrears_ucny": 0, "spendable_udu": 30_277_777, "price_e8_per_du": 72_000_000, "grants": [GRANT]}  # fmt: skip
INVOICE = {"id": "inv_01k3x9t0qd6jv2m4c8w5r7n1ez", "org_id": ORG, "number": 3, "month": "2026-08", "from_at": "2026-07-31T16:00:00Z",
           "to_at": AT, "issued_at": AT, "total_ucny": 12_604_999, "total_fen": 1260, "rounding_ucny": -4_999}  # fmt: skip
LINE = {"id": "inl_01k3x9t0qd6jv2m4c8w5r7n1ez", "number": 1, "kind": "time", "subject": JOB, "seconds": 61, "tokens": 0,
        "title": {"en": "Compute of 黄山问答训练", "zh": "黄山问答训练的算力"}, "quantity_udu": 847, "amount_ucny": 4_999,
        "shown_fen": 0, "value_ucny": 610, "detail": {}}  # fmt: skip
CHARGE = {"id": "chg_01k3x9t0qd6jv2m4c8w5r7n1ez", "kind": "time", "subject": JOB, "lease_id": LEASE["id"], "at": AT, "seconds": 61,
          "tokens": 0, "quantity_udu": 847, "value_ucny": 610, "cash_ucny": 0, "price_book_version": 1,
          "price_e8_per_du": 72_000_000, "invoice_line_id": None, "rule": {"en": "61 s × 0.05 度/hour", "zh": "61 秒 × 0.05 度/小时"},
          "slices": [{"purse": "free", "grant_id": None, "quantity_udu": 847, "value_ucny": 610, "cash_ucny": 0}]}  # fmt: skip
PURSE = {"quantity_udu": 0, "cash_ucny": 0, "value_ucny": 0}
BILL = {
    "month": "2026-08", "from_at": "2026-07-31T16:00:00Z", "to_at": "2026-08-31T16:00:00Z", "seconds": 61, "quantity_udu": 847,
    "tokens": {"input": 120, "cached_input": 10, "output": 34, "calls": 2},
    "by_purse": {"free": PURSE | {"quantity_udu": 847, "value_ucny": 610}, "pack": PURSE, "wallet": PURSE, "arrears": PURSE},
    "cash_ucny": 0, "value_ucny": 610,
    "energy": {"it_uwh": 1_234_567, "facility_uwh": 1_753_085, "basis": "modelled", "method": "rated power"},
    "carbon": {"location_ug": 1_234_000, "factors": []},
    "by_workload": [{"workload_id": JOB, "name": "黄山问答训练", "kind": "job", "seconds": 61, "quantity_udu": 847, "cash_ucny": 0, "carbon_ug": 1_234_000}],
    "unbilled_cash_ucny": 0, "invoices": [INVOICE],
}  # fmt: skip
DEVICE = {"id": "dev_1", "key": "cpu", "kind": "cpu", "class_id": "cpu-core", "name": "Xeon 8358", "capacity": 32_000, "allocated": 2_000,
          "health": "ok", "note": None, "memory_mib": None, "nominal_tflops_milli": None, "published_rate_udu_per_hour": 25_000,
          "measured": [{"precision": "fp32", "mflops": 1_234_500, "method": "gemm", "at": AT}]}  # fmt: skip
SITE_VIEW = {
    "id": SITE, "name": "合肥一号", "provider": {"id": ORG, "name": "安徽智算"}, "state": "open", "reachable": True, "region": "CN-AH",
    "region_name": {"en": "Anhui", "zh": "安徽"}, "pue_milli": 1_250,
    "engine": {"engine": "local", "version": "0.9", "isolation": "sandbox", "allow_unisolated": False, "limits": {},
               "problems": [{"code": "c", "message_en": "No memory limits here.", "message_zh": "此处无法限制内存。",
                             "remedy_en": "Turn on cgroup v2.", "remedy_zh": "请启用 cgroup v2。"}]},
    "joined_at": AT, "last_seen_at": AT, "leases_running": 1, **TERMS, "offer": OPEN, "recall": None,
    "nodes": [{"id": "node_1", "hostname": "node-a", "os": "linux", "architecture": "x86_64", "facts": {}, "devices": [
        DEVICE, DEVICE | {"kind": "memory", "name": "memory", "capacity": 131_072, "allocated": 2_048, "measured": [], "published_rate_udu_per_hour": None},
        DEVICE | {"kind": "accelerator", "name": "A100 80G", "capacity": 1000, "allocated": 1000, "nominal_tflops_milli": 312_000,
                  "published_rate_udu_per_hour": 1_000_000, "measured": [{"precision": "fp16", "mflops": 250_000_000, "method": "gemm", "at": AT}]},
    ]}],
}  # fmt: skip
VERSION = {"id": "mdv_1", "number": 2, "created_at": AT, "workload_id": JOB, "files": [{"path": "model/w.bin", "size_bytes": 5, "sha256": "0"}],
           "evaluation": {"exact_rate": "0.98", "asked": 160}, "created_by": "usr_1"}  # fmt: skip
MODEL = {
    "id": "mdl_1",
    "name": "huangshan",
    "description": "景区问答",
    "created_at": AT,
    "latest": VERSION,
    "deployed": True,
}
DEPLOYMENT = {"id": "dep_01k3x9t0qd6jv2m4c8w5r7n1ez", "model": "huangshan", "version": 2, "workload_id": "svc_1", "state": "ready",
              "ready_replicas": 1, "created_at": AT, "ended_at": None, "base_url": "http://gateway.test/v1",
              "tokens": {"input": 120, "cached_input": 10, "output": 34, "calls": 2}}  # fmt: skip
BOOK = {
    "currency": "CNY", "on_demand_price_e8_per_du": 72_000_000, "device_rates": {"cpu-core": 25_000}, "cpu_with_accelerator_free": True,
    "free_quota": {"quantity_udu": 10_000_000, "valid_days": 90, "provider_value_ppm": 500_000},
    "packs": [{"product": "pack-20", "name": {"en": "Pack of 20", "zh": "20 度算力包"}, "quantity_udu": 20_000_000, "price_ucny": 12_600_000, "valid_days": 365}],
    "tokens": {}, "platform_fee_ppm": 100_000,
}  # fmt: skip
CATALOG = {
    "version": 1, "effective_from": AT, "book": BOOK,
    "device_classes": [{"class_id": "nvidia-a100-80g", "kind": "accelerator", "vendor": "NVIDIA", "model": "A100", "memory_mib": 81_920,
                        "name": {"en": "NVIDIA A100 80 GB", "zh": "英伟达 A100 80 GB"}, "nominal_fp16_tflops_milli": 312_000,
                        "published_rate_udu_per_hour": 1_000_000, "rate_basis": "", "confidence": "high", "source": ""},
                       {"class_id": "mthreads-mtt-s80", "kind": "accelerator", "vendor": "Moore Threads", "model": "MTT S80", "memory_mib": 16_384,
                        "name": {"en": "Moore Threads MTT S80", "zh": "摩尔线程 MTT S80"}, "nominal_fp16_tflops_milli": None,
                        "published_rate_udu_per_hour": None, "rate_basis": "unrated", "confidence": "low", "source": ""}],
}  # fmt: skip
ME = {"organisation": {"id": ORG, "kind": "tenant", "name": "黄山旅游"}, "user": {"id": "usr_1", "name": "某人", "email": "a@b.cn", "language": "zh"},
      "role": "tenant_owner", "permissions": [], "project_id": None}  # fmt: skip
MONTH = {"seconds": 61, "quantity_udu": 847, "cash_ucny": 0, "value_ucny": 610, "carbon_ug": 1_234_000}
DAILY = [{"date": "2026-07-31", "quantity_udu": 0}, {"date": "2026-08-01", "quantity_udu": 847}]
STATES = {"pending": 0, "placed": 0, "starting": 0, "running": 1, "succeeded": 2, "failed": 0, "cancelled": 0}
OVERVIEWS: dict[str, dict[str, Any]] = {
    "tenant": {"kind": "tenant", "workloads": STATES, "recent": [WORKLOAD], "wallet": WALLET, "month": MONTH, "daily": DAILY, "deployments": 1},
    "provider": {"kind": "provider", "sites": 2, "reachable": 1, "devices": {"accelerators": 8, "cores": 64}, "used_ppm": 123_456, "payable_fen": 1_234, "month": MONTH, "daily": DAILY},
    "operator": {"kind": "operator", "sites": {"total": 2, "reachable": 1}, "organisations": {"tenant": 3, "provider": 1}, "workloads": STATES, "waiting": 0,
                 "utilisation": [{"kind": "cpu", "capacity": 64_000, "allocated": 2_000}, {"kind": "memory", "capacity": 4096, "allocated": 512}],
                 "delivery_seconds_p50": "0.412", "month": MONTH, "daily": DAILY, "quarantined": 0},
    "city": {"kind": "city", "sites": {"total": 2, "reachable": 1}, "providers": 1, "tenants": 3, "measured_mflops_total": 251_234_500,
             "utilisation": [{"kind": "cpu", "capacity": 64_000, "allocated": 2_000}], "month": MONTH, "energy_uwh": 1_753_085, "carbon_ug": 1_234_000, "daily": DAILY},
}  # fmt: skip
SETTLEMENT = {"id": "stl_01k3x9t0qd6jv2m4c8w5r7n1ez", "invoice_id": INVOICE["id"], "at": AT, "value_ucny": 610, "total_fen": 1260,
              "shares": [{"party": ORG, "role": "provider", "value_ucny": 549, "amount_fen": 1134}, {"party": "platform", "role": "platform", "value_ucny": 61, "amount_fen": 126}]}  # fmt: skip
TRACE = {"id": LINE["id"], "stations": [
    {"station": "supply", "records": [{"id": SITE, "title": {"en": "Site 合肥一号", "zh": "站点 合肥一号"}, "facts": {"region": "CN-AH", "pue_milli": 1250}}]},
    {"station": "invoice", "records": [{"id": LINE["id"], "title": {"en": "Line 1", "zh": "第 1 行"}, "facts": {"why": {"en": "time", "zh": "时长"}}}]},
    {"station": "settlement", "records": []},
]}  # fmt: skip
KEY = {
    "id": "key_01k3x9t0qd6jv2m4c8w5r7n1ez",
    "name": "ci",
    "role": "tenant_member",
    "hint": "wx9z",
    "created_at": AT,
    "revoked_at": None,
}
ORDER = {
    "id": "ord_01k3x9t0qd6jv2m4c8w5r7n1ez",
    "product": "pack-20",
    "quantity": 1,
    "amount_ucny": 12_600_000,
    "quantity_udu": 20_000_000,
    "at": AT,
    "grant_id": GRANT["id"],
}
MADE_KEY = {"id": KEY["id"], "secret": "zsk_secret"}
CHECK = {"name": "entries sum to zero", "ok": True, "detail": {"en": "120 transactions.", "zh": "共 120 笔交易。"}}
EARNING = {
    "settlement_id": SETTLEMENT["id"],
    "invoice_id": INVOICE["id"],
    "month": "2026-08",
    "at": AT,
    "seconds": 61,
    "quantity_udu": 847,
    "value_ucny": 610,
    "fee_fen": 0,
    "amount_fen": 1,
}
ORGANISATION = {"id": ORG, "kind": "tenant", "name": "黄山旅游", "created_at": AT}
PRICES = {"version": 1, "effective_from": AT, "published_at": AT, "published_by": "usr_1", "book": BOOK}
ARTEFACT = {"id": "art_1", "path": "model/weights.bin", "size_bytes": 5, "created_at": AT, "sha256": "0" * 64}
TASKS_JOB = "job_01k3x9t0qd6jv2m4c8w5r7n2tk"
TASK_TABLE = (
    b"index,tries,exit_status,began,ended\n"
    b"0,1,0,2026-08-01T01:02:05.100Z,2026-08-01T01:02:05.213Z\n"
    b"1,3,3,2026-08-01T01:02:06.000Z,2026-08-01T01:03:06.500Z\n"
    b"3,1,137,2026-08-01T01:02:07.000Z,2026-08-01T01:02:08.000Z\n"
)
TASKS_WORKLOAD = WORKLOAD | {
    "id": TASKS_JOB, "name": "sweep", "state": "cancelled", "progress_message": "3 of 5 tasks done, 2 failed",
    "resources": WORKLOAD["resources"] | {"tasks": {"count": 5, "parallel": None, "retries": 2}},  # type: ignore[operator]
}  # fmt: skip
TASKS_ARTEFACT = {
    "id": "art_2", "path": "tasks.csv", "size_bytes": len(TASK_TABLE), "created_at": AT,
    "sha256": hashlib.sha256(TASK_TABLE).hexdigest(),
}  # fmt: skip
EVENT = {
    "number": 1,
    "at": AT,
    "state": "pending",
    "cause": "launched",
    "actor": "usr_01k3x9t0qd6jv2m4c8w5r7n1ez",
    "detail": {},
}
QUOTE = {"shape": [{"kind": "cpu", "class_id": "cpu-core", "amount": 2000}], "rate_udu_per_hour": 50_000, "price_e8_per_du": 72_000_000,
         "price_book_version": 1, "hour_ucny": 36_000, "candidates": PLACEMENT["candidates"], "rejected": PLACEMENT["rejected"],
         "reason": PLACEMENT["reason"], "carbon_g_per_hour_milli": 8_123,
         "sites": [
             {"rank": 1, "site_id": "site_1", "site_name": "黄山一号 Huangshan", "provider_name": "皖南", "region": "CN-AH", "hour_ucny": 36_000,
              "rate_udu_per_hour": 50_000, "carbon_g_per_hour_milli": 8_123, "green_ppm": 800_000, "round_trips_us": {"合肥": 6_450},
              "round_trip_us": 6_450, "alternative": 0, "marks": ["cheapest", "nearest"]},
             {"rank": 2, "site_id": "site_2", "site_name": "Qingyang", "provider_name": "Hub", "region": "CN-GS", "hour_ucny": 38_500,
              "rate_udu_per_hour": 53_400, "carbon_g_per_hour_milli": 6_002, "green_ppm": None, "round_trips_us": {},
              "round_trip_us": None, "alternative": 0, "marks": ["greenest"]},
         ], "sites_counted": 37}  # fmt: skip
PLATFORM = {
    "version": "0.1.0",
    "gateway_url": "http://gateway.test",
    "console_url": "http://platform.test",
    "region": "CN-AH",
}
LOG = {"text": "第一行\nline 2\nline 3\n", "offset": 0, "next_offset": 24, "complete": True}
def quota(subject: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "subject": subject, "kind": "project", "name": name, "organisation_id": "org_1", "parent_id": "org_1", "guaranteed_cards_milli": 4000,
        "guaranteed_cores_milli": 64000, "limit_cards_milli": 8000, "limit_cores_milli": None, "weight": 1, "held_cards_milli": 6500,
        "held_cores_milli": 12000, "borrowed_cards_milli": 2500, "borrowed_cores_milli": 0, "left_cards_milli": 1500, "left_cores_milli": None,
        "used_cards_seconds_milli": 3600000, "used_cores_seconds_milli": 7200000, "share_ppm": 123456, "is_set": True, **more,
    }  # fmt: skip


QUOTAS = {
    "items": [quota("org_1", "黄山学院", kind="organisation", parent_id=None), quota("prj_1", "vision", weight=3)], "next_cursor": None,
    "capacity_cards_milli": 64000, "capacity_cores_milli": 2048000,
}  # fmt: skip
IN_LINE = {
    "number": 3, "of": 41, "state": "reserved", "priority": 50, "rank": 53, "within_guarantee": False, "share_ppm": 123456,
    "ahead_own": ["job_01", "job_02"], "ahead_own_count": 2, "ahead_others_count": 0,
    "reservation": {"site_name": "hub", "at": "2026-08-01T06:20:00Z"}, "expected_at": "2026-08-01T06:20:00Z",
    "expected": {"en": "At the latest then.", "zh": "最迟该时刻。"}, "quotas": [quota("prj_1", "vision")],
}  # fmt: skip
WHY = {"state": "pending", "queue": IN_LINE, "reason": {"en": "No node has 64 cores free.", "zh": "没有节点有 64 个空闲核。"}, "placement": None,
       "unblock": [{"en": "Ask for fewer cores.", "zh": "请减少核数。"}]}  # fmt: skip
FAR = {"alternative": 0, "constraint": "site_latency", "taken_out": 4, "left": 12, "unblock": {"en": "allow more", "zh": "放宽时延"},
       "text": {"en": "no round trip is on record that keeps 合肥 ≤ 20 ms", "zh": "没有满足 合肥 ≤ 20 ms 的往返时延记录"}}  # fmt: skip
DEAR = {"alternative": 0, "constraint": "price_max", "taken_out": 12, "left": 0, "unblock": {"en": "raise it", "zh": "提高上限"},
        "text": {"en": "what is free there comes to more than ¥4.00 an hour", "zh": "当前空闲设备的价格高于每小时 ¥4.00"}}  # fmt: skip
HELPS = {"en": "at ¥4.20 an hour instead of ¥4.00 12 place(s) fit now", "zh": "每小时 ¥4.20（而非 ¥4.00）时当前有 12 处可承接"}
WHY_BINDS = WHY | {
    "queue": None,
    "steps": [FAR, DEAR], "binding": DEAR, "unblock": [HELPS], "relaxed": [{"field": "zhisuan.price_max", "fits": 12, "text": HELPS}],
    "expected_start": "2026-08-01T03:30:00Z", "deadline": "2026-08-01T12:00:00Z",
}  # fmt: skip
WHY_PLACED = WHY | {
    "queue": None,
    "state": "running", "unblock": [], "placement": PLACEMENT, "runners_up": [
        {"site_id": "site_2", "site_name": "Qingyang", "node_hostnames": ["qy-01"], "rank": 2, "hour_ucny_more": 2_500,
         "carbon_g_per_hour_milli_more": -2_121, "round_trip_us_more": 18_550},
    ],
}  # fmt: skip
DEMAND_PLACE = {"id": "dpl_1", "name": "合肥", "latitude_e6": 31_820_000, "longitude_e6": 117_227_000, "created_at": "2026-08-01T00:00:00Z", "reached": 2}


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}


VOLUME: dict[str, Any] = {
    "id": "vol_1", "name": "data", "project_id": "prj_1", "current_number": 1, "last_number": 1, "created_at": "2026-08-01T00:00:00Z",
    "created_by": "usr_1", "deleted_at": None, "delete_reason": None,
    "current": {
        "id": "vlv_1", "number": 1, "parent_number": 0, "side": None, "note": "", "manifest_sha256": "0" * 64, "file_count": 2,
        "size_bytes": 1500, "workload_id": None, "created_at": "2026-08-01T00:00:00Z", "created_by": "usr_1",
    },
}  # fmt: skip
DATA_USE = {"bytes_used": 1500, "bytes_max": 10**12}
ANSWERS: dict[str, Any] = {
    "GET /places": page(DEMAND_PLACE), "POST /places": DEMAND_PLACE, "POST /places/dpl_1/remove": DEMAND_PLACE,
    "GET /me": ME, "GET /overview": OVERVIEWS["tenant"], "GET /catalog": CATALOG, "GET /platform": PLATFORM,
    "POST /sessions": {"id": "ses_1", "secret": "zss_secret"}, "DELETE /sessions/current": None,
    "POST /sign-up": {"organisation_id": ORG, "user_id": "usr_1", "project_id": "prj_1", "key": MADE_KEY},
    "GET /keys": page(KEY), "POST /keys": MADE_KEY, f"DELETE /keys/{KEY['id']}": None,
    "GET /workloads": page(WORKLOAD), f"GET /workloads/{JOB}": WORKLOAD | {"leases": [LEASE], "placement": PLACEMENT, "events": [EVENT], "file": "run: x\n"},
    "POST /workloads": {"workload": WORKLOAD | {"state": "placed", "progress_ppm": None}, "placement": PLACEMENT},
    f"POST /workloads/{JOB}/cancel": WORKLOAD, f"POST /workloads/{JOB}/pause": WORKLOAD,
    f"POST /workloads/{JOB}/resume": WORKLOAD, f"POST /workloads/{JOB}/restart": WORKLOAD, f"GET /workloads/{JOB}/why": WHY, f"GET /workloads/{JOB}/logs": LOG,
    "GET /templates": page(TEMPLATE, TEMPLATE | {"name": "torchrun-nodes"}),
    f"GET /workloads/{JOB}/artefacts": page(ARTEFACT), "POST /quotes": QUOTE,
    f"GET /workloads/{TASKS_JOB}": TASKS_WORKLOAD | {"leases": [], "placement": None, "events": [], "file": "run: x\n"},
    f"GET /workloads/{TASKS_JOB}/artefacts": page(TASKS_ARTEFACT), "GET /artefacts/art_2/content": TASK_TABLE,
    "GET /workspaces": page(WORKSPACE), f"GET /workspaces/{WORKSPACE_ID}": WORKSPACE, f"GET /workspaces/{JOB}": WORKSPACE,
    f"POST /workloads/{WORKSPACE_ID}/cancel": WORKLOAD | {"id": WORKSPACE_ID, "kind": "workspace"},
    f"POST /workspaces/{WORKSPACE_ID}/link": {"url": "http://wsp.test/_enter?ticket=t", "until": AT},
    "GET /volumes": page(VOLUME), "POST /volumes": VOLUME, "GET /volumes/data": VOLUME, "GET /data-use": DATA_USE,
    "GET /volumes/data/versions": page(VOLUME["current"]), "POST /volumes/data/versions": VOLUME["current"],
    "GET /volumes/data/folder": page(), "GET /volumes/data/files": page(), "GET /volumes/data/uses": page(),
    "POST /volumes/data/current": VOLUME, "POST /volumes/data/delete": VOLUME, "POST /content/missing": {"missing": []},
    "PUT /organisations/org_1/data-quota": DATA_USE, "GET /quotas": QUOTAS, "PUT /quotas/vision": QUOTAS,
    "POST /quotas/used": {"leases": 120},
    "GET /models": page(MODEL), "GET /deployments": page(DEPLOYMENT), "GET /models/huangshan": MODEL | {"versions": [VERSION]},
    "POST /models/huangshan/versions": VERSION, "POST /deployments": DEPLOYMENT | {"state": "starting"},
    f"POST /deployments/{DEPLOYMENT['id']}/stop": DEPLOYMENT | {"state": "ended"},
    "GET /wallet": WALLET, "POST /orders": ORDER, "GET /bill": BILL, "GET /charges": page(CHARGE),
    f"GET /invoices/{INVOICE['id']}": INVOICE | {"lines": [LINE]}, f"GET /trace/{LINE['id']}": TRACE,
    "GET /sites": page(SITE_VIEW), f"GET /sites/{SITE}": SITE_VIEW,
    "POST /sites": {"site": SITE_VIEW | {"state": "invited"}, "join_token": "zsj_token", "expires_at": AT},
    f"POST /sites/{SITE}/join-tokens": {"join_token": "zsj_token", "expires_at": AT},
    f"POST /sites/{SITE}/verify": SITE_VIEW, f"POST /sites/{SITE}/open": SITE_VIEW,
    f"POST /sites/{SITE}/drain": SITE_VIEW | {"state": "draining"}, f"POST /sites/{SITE}/close": SITE_VIEW | {"state": "closed"},
    "GET /earnings": {"payable_fen": 1234, "paid_fen": 0, "items": [EARNING], "next_cursor": None},
    "GET /organisations": page(ORGANISATION),
    "POST /organisations": {"organisation_id": ORG, "user_id": "usr_1", "project_id": "prj_1", "key": MADE_KEY},
    f"POST /organisations/{ORG}/top-ups": {"id": "top_1", "org_id": ORG, "amount_ucny": 20_000_000, "channel": "bank_transfer", "reference": "r", "at": AT},
    f"POST /organisations/{ORG}/invoices": {"items": [INVOICE]}, f"POST /invoices/{INVOICE['id']}/settlement": SETTLEMENT,
    "GET /price-books": page(PRICES), "POST /price-books": PRICES | {"version": 2},
    f"POST /providers/{ORG}/payouts": {"transaction_id": "txn_1", "provider_id": ORG, "reference": "r", "amount_fen": 1234, "at": AT},
    "GET /checks": {"items": [CHECK]}, "GET /bill/checks": {"items": [CHECK]},
    **site_answers(SITE, SITE_VIEW, AT),
}  # fmt: skip


@dataclass
class CannedPlatform:
    """Answers by route; a test changes ``answers`` and reads ``calls``: (route, body, headers, query)."""

    answers: dict[str, Any] = field(default_factory=lambda: dict(ANSWERS))
    calls: list[tuple[str, Any, httpx.Headers, dict[str, str]]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        route = f"{request.method} {request.url.path.removeprefix('/api/v1')}"
        body = json.loads(request.read() or b"null") if "gzip" not in request.headers.get("Content-Type", "") else None
        self.calls.append((route, body, request.headers, dict(request.url.params)))
        answer = self.answers[route]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, bytes):
            return httpx.Response(200, content=answer)
        return httpx.Response(204) if answer is None else httpx.Response(200, json=answer)

    def sent(self, route: str) -> Any:
        return next(body for where, body, _, _ in self.calls if where == route)


def problem(status: int, title: str, en: str = "No.", zh: str = "不行。") -> httpx.Response:
    body = {
        "status": status, "title": title, "code": title.replace(" ", "_"), "detail": en, "remedy": "Do better.",
        "zh": {"detail": zh, "remedy": "请改进。"}, "problems": [{"where": "resources.cpus", "en": "too many", "zh": "过多"}],
    }  # fmt: skip
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


PAGES: dict[str, list[str]] = {
    "help": ["--help"],
    "help-launch": ["launch", "--help"],
    "help-jobs": ["jobs", "--help"],
    "overview": ["overview"],
    "jobs": ["jobs"],
    "jobs-show": ["jobs", "show", JOB],
    "jobs-events": ["jobs", "events", JOB],
    "jobs-artefacts": ["jobs", "artefacts", JOB],
    "jobs-tasks": ["jobs", "tasks", TASKS_JOB],
    "jobs-tasks-all": ["jobs", "tasks", TASKS_JOB, "--all", "--limit", "2"],
    "jobs-tasks-show": ["jobs", "show", TASKS_JOB],
    "jobs-cancel": ["jobs", "cancel", JOB],
    "jobs-pause": ["jobs", "pause", JOB],
    "logs": ["logs", JOB],
    "why": ["why", JOB],
    "place-list": ["place", "list"], "place-add": ["place", "add", "合肥", "--latitude", "31.82", "--longitude", "117.227"],
    "place-remove": ["place", "remove", "dpl_1"],
    "quota": ["quota"],
    "quota-count-anew": ["quota", "count-anew"],
    "quota-set": ["quota", "set", "vision", "--cards", "4", "--cards-max", "8", "--weight", "3"],
    "quote": ["quote", "job.yaml"],
    "jobs-copy": ["jobs", "copy", JOB, "--name", "again", "--detach"],
    "templates": ["templates"],
    "templates-one": ["templates", "hello"],
    "launch-detach": ["launch", "job.yaml", "--detach"],
    "workspace": ["workspace"],
    "models": ["models"],
    "models-show": ["models", "show", "huangshan"],
    "models-register": ["models", "register", "huangshan", "--from", JOB],
    "models-deploy": ["models", "deploy", "huangshan"],
    "wallet": ["wallet"],
    "buy": ["buy", "pack-20"],
    "catalog": ["catalog"],
    "bill": ["bill"],
    "bill-invoice": ["bill", "--invoice", str(INVOICE["id"])],
    "bill-charges": ["bill", "--charges"],
    "trace": ["trace", str(LINE["id"])],
    "site": ["site"],
    "site-show": ["site", "show", SITE],
    "site-create": ["site", "create", "合肥一号", "--region", "CN-AH", "--pue", "1.25"],
    "site-drain": ["site", "drain", SITE],
    **site_pages(SITE),
    "earnings": ["earnings"],
    "keys": ["keys"],
    "keys-create": ["keys", "create", "ci"],
    "org": ["org"],
    "org-topup": ["org", "topup", ORG, "20.00", "--reference", "r"],
    "prices": ["prices"],
    "invoice-issue": ["invoice", "issue", ORG],
    "settle": ["settle", str(INVOICE["id"])],
    "payout": ["payout", ORG, "12.34", "--reference", "r"],
    "checks": ["checks"],
}
