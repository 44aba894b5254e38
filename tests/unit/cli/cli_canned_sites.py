"""Canned answers of the site commands."""

from typing import Any

TERMS: dict[str, Any] = {
    "city": "合肥", "latitude_e6": 31_820_000, "longitude_e6": 117_230_000, "tariff_ucny_per_kwh": 450_000,
    "clock_offset_ms": 12, "credential_since": "2026-08-01T01:00:00Z", "revoked_at": None, "round_trip_us": 8_420,
}  # fmt: skip
NIGHTS = {
    "offered": False, "reason": {"en": "outside the hours in which the provider offers it", "zh": "不在提供方开放的时段内"},
    "next_open": "2026-08-01T14:00:00Z", "until": None, "zone": "Asia/Shanghai",
    "windows": [{"days": ["mon", "tue"], "from": "22:00", "to": "08:00"}],
}  # fmt: skip
RECALL = {
    "id": "rcl_01k3x9t0qd6jv2m4c8w5r7n1ez", "state": "stopping", "stop_at": "2026-08-01T01:00:00Z",
    "back_at": "2026-08-01T01:10:00Z", "until": None, "notice_seconds": 600, "reason": "自用训练",
}  # fmt: skip
TAKEN = NIGHTS | {
    "reason": {"en": "the provider has taken the devices back", "zh": "提供方已收回设备"},
    "next_open": None,
    "windows": [],
}
OPEN = {"offered": True, "reason": None, "next_open": None, "until": None, "zone": "Asia/Shanghai", "windows": []}
CARD = "nvidia-a100-sxm4-80g"
EVIDENCE: dict[str, Any] = {
    "class_id": CARD, "kind": "accelerator", "name": {"en": "NVIDIA A100", "zh": "英伟达 A100"}, "claimed_count": 8,
    "found_count": 2, "healthy_count": 2, "measured_count": 2, "claimed_tflops_milli": None, "nominal_tflops_milli": 312_000,
    "published_rate_udu_per_hour": 1_000_000, "published_tflops_milli": 312_000, "measured_tflops_milli": 156_000,
    "measured_min_tflops_milli": 150_000, "measured_share_ppm": 500_000, "rate_factor_ppm": 500_000,
    "flags": [{"code": "missing", "en": "8 claimed, 2 found", "zh": "声明 8 个，实际发现 2 个"}],
}  # fmt: skip
EARNED = {
    "settlement_id": "stl_1", "invoice_id": "inv_01k3x9t0qd6jv2m4c8w5r7n1ez", "month": "2026-08", "at": "2026-08-01T01:02:03Z",
    "leases": 1, "seconds": 61, "quantity_udu": 847, "value_ucny": 610, "fee_fen": 0, "amount_fen": 1,
}  # fmt: skip

RECONCILIATION = {
    "tolerance_seconds": 5, "tolerance_per_cent": 1, "agrees": 128, "metered_more": 1, "metered_less": 0, "other_nodes": 0,
    "waiting": 2, "none": 3,
}  # fmt: skip
DIFFERING = {
    "lease_id": "lea_01k3x9t0qd6jv2m4c8w5r7n1ez", "org_id": "org_1", "source": "sacct", "reference": "4711", "state": "COMPLETED",
    "started_at": "2026-07-28T02:00:00Z", "ended_at": "2026-07-28T02:01:40Z", "elapsed_milliseconds": 100_000,
    "cpu_milliseconds": 93_210, "nodes": 1, "received_at": "2026-07-28T02:01:45Z", "judged_at": "2026-07-28T02:02:00Z",
    "verdict": "metered_more", "metered_seconds": 160, "engine_milliseconds": 98_500, "difference_milliseconds": 61_500,
}  # fmt: skip


LINK = {
    "site_id": "site_other", "site_name": "西咸 Xixian", "direction": "to", "at": "2026-08-01T01:00:00Z", "tries": 5, "answered": 5,
    "median_us": 14_250, "best_us": 13_900, "bound_us": 6_500, "refused": False, "note": None,
}
LINKS = [
    LINK, LINK | {"direction": "from", "best_us": 5_000, "refused": True},
    LINK | {"median_us": None, "best_us": None, "answered": 0, "note": "Connection refused"},
]


PLACE_LINK = {
    "place_id": "dpl_1", "place_name": "合肥", "site_id": "site_1", "site_name": "黄山一号", "direction": "from_place", "round_trip_us": 6_450,
    "method": "measured", "source": "ping", "at": "2026-08-01T01:00:00Z", "bound_us": 2_400, "refused": False,
}  # fmt: skip
PLACE_LINKS = [PLACE_LINK, PLACE_LINK | {"direction": "from_site", "round_trip_us": 2_000, "method": "stated", "refused": True}]


def site_answers(site: str, view: dict[str, Any], at: str) -> dict[str, Any]:
    where = f"/sites/{site}"
    token = {"id": "jtk_01k3x9t0qd6jv2m4c8w5r7n1ez", "hint": "m28r", "state": "used", "created_at": at, "created_by": "usr_1",
             "expires_at": at, "used_at": at, "revoked_at": None}  # fmt: skip
    condition = {"id": "cnd_1", "valid_from": at, "set_at": at, "set_by": "usr_1"}
    proof = {"site_id": site, "share_min_ppm": 800_000, "items": [EVIDENCE], "verification": None, "factors": []}
    return {
        f"GET {where}/links": {"items": LINKS, "next_cursor": None},
        f"GET {where}/places": {"items": PLACE_LINKS, "next_cursor": None},
        "GET /places/dpl_1/links": {"items": PLACE_LINKS, "next_cursor": None}, "POST /places/dpl_1/links": PLACE_LINK,
        f"GET {where}/reconciliation": RECONCILIATION | {"site_id": site},
        "GET /engine-accounts": {"items": [DIFFERING | {"site_id": site}], "next_cursor": None},
        f"GET {where}/evidence": proof, f"POST {where}/pricing": view, f"POST {where}/windows": view | {"offer": NIGHTS},
        f"POST {where}/take-back": view | {"offer": TAKEN, "recall": RECALL}, f"POST {where}/offer-again": view,
        f"POST {where}/conditions": view, f"POST {where}/claims": view, f"POST {where}/revoke": view,
        f"GET {where}/conditions": {"items": [
            condition | {"name": "tariff_ucny_per_kwh", "value": 450_000}, condition | {"name": "pue_milli", "value": 1_250},
        ]},
        f"GET {where}/join-tokens": {"items": [token], "next_cursor": None}, f"DELETE {where}/join-tokens/{token['id']}": None,
        f"GET {where}/earnings": {"site_id": site, "amount_fen": 1, "fee_fen": 0, "value_ucny": 610, "unsettled_value_ucny": 5_000, "items": [EARNED]},
    }  # fmt: skip


def site_pages(site: str) -> dict[str, list[str]]:
    return {
        "site-links": ["site", "links", site],
        "place-links": ["place", "links", "dpl_1"],
        "place-link": ["place", "link", "dpl_1", site, "--ms", "6.45", "--source", "ping"],
        "site-evidence": ["site", "evidence", site],
        "site-reconciliation": ["site", "reconciliation", site, "--leases"],
        "site-verify": ["site", "verify", site, "--accept", "--note", "seen"],
        "site-price": ["site", "price", site, CARD, "--by", "measured", "--reason", "slow"],
        "site-windows": ["site", "windows", site, "--set", "mon-tue 22:00-08:00"],
        "site-take-back": ["site", "take-back", site, "--notice", "10m", "--reason", "自用训练"],
        "site-offer-again": ["site", "offer-again", site],
        "site-set": ["site", "set", site, "--tariff", "0.45"],
        "site-conditions": ["site", "conditions", site],
        "site-claim": ["site", "claim", site, f"{CARD}:8@312"],
        "site-tokens": ["site", "tokens", site],
        "site-revoke-token": ["site", "revoke-token", site, "jtk_01k3x9t0qd6jv2m4c8w5r7n1ez"],
        "site-revoke": ["site", "revoke", site],
        "site-earnings": ["site", "earnings", site],
    }
