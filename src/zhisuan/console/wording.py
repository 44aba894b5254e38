"""States as chips, and other words that several pages share."""

from collections.abc import Mapping
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.console.format import du, memory, moment, share_ppm
from zhisuan.console.parts import Tone, bar, chip, div, el
from zhisuan.console.speech import Speech
from zhisuan.console.text_models import Model
from zhisuan.console.text_overview import Overview
from zhisuan.console.text_supply import Supply
from zhisuan.console.text_work import Work
from zhisuan.console.tree import Plain

WORKLOAD_TONES: dict[str, Tone] = {
    "pending": "wait", "placed": "wait", "starting": "run", "running": "run", "succeeded": "ok", "failed": "bad",
    "cancelled": "off", "paused": "off",
}  # fmt: skip
LEASE_TONES: dict[str, Tone] = {"offered": "wait", "accepted": "run", "active": "run", "ending": "wait", "closed": "off"}
SITE_TONES: dict[str, Tone] = {
    "invited": "wait", "joining": "wait", "verified": "wait", "open": "ok", "draining": "wait", "closed": "off",
}  # fmt: skip
DEPLOYMENT_TONES: dict[str, Tone] = {
    "waiting": "wait", "starting": "run", "ready": "ok", "not_ready": "wait", "ended": "off", "failed": "bad",
}  # fmt: skip
OPEN_STATES = ("pending", "placed", "starting", "running")


def workload_chip(state: str, say: Speech) -> Plain:
    return chip(say.named(Work.STATES, state), WORKLOAD_TONES.get(state, "off"))


def lease_chip(state: str, say: Speech) -> Plain:
    return chip(say.named(Work.LEASE_STATES, state), LEASE_TONES.get(state, "off"))


def site_chip(state: str, say: Speech) -> Plain:
    return chip(say.named(Supply.STATES, state), SITE_TONES.get(state, "off"))


def deployment_chip(state: str, say: Speech) -> Plain:
    return chip(say.named(Model.STATES, state), DEPLOYMENT_TONES.get(state, "off"))


def reach_chip(site: Mapping[str, Any], say: Speech) -> Plain:
    """Whether a site can be heard: a silence on top of its state."""
    if site["reachable"]:
        return chip(say(Supply.REACHABLE), "ok")
    if site["last_seen_at"] is None:
        return chip(say(Supply.NEVER_HEARD), "off")
    return chip(say(Supply.UNREACHABLE), "bad")


def cause_text(cause: str, say: Speech) -> str:
    """Why a workload changed its state; a cause that the catalogue does not know is said as the platform says it."""
    told, _, rest = cause.partition(": ")
    if rest and told == "its site is told to stop it":
        return say(Work.STOPPING, cause=say.named(Work.CAUSES, rest))
    if rest == "tried again":
        return say(Work.TRIED_AGAIN, reason=say.named(Work.REASONS, told))
    return say.named({**Work.REASONS, **Work.CAUSES}, cause)


def resources_text(resources: Mapping[str, Any], say: Speech) -> str:
    """``2 cores · 4 GiB · A100 × 1``, and how many tasks in an order of many."""
    words = [
        say(Work.CORES, cores=decimal_text(int(resources["cpus_milli"]), 3)),
        memory(int(resources["memory_mib"])),
        *(f"{name} × {number}" for name, number in resources.get("accelerators") or ()),
    ]
    if tasks := resources.get("tasks"):
        words.append(say(Work.TASKS, count=f"{tasks['count']:,}"))
    return " · ".join(words)


def grant_line(grant: Mapping[str, Any], say: Speech) -> None:
    """One grant with how much of it is left."""
    left, whole = int(grant["left_udu"]), int(grant["quantity_udu"])
    free = grant["kind"] == "free"
    name = say(Overview.GRANT_FREE) if free else say(Overview.GRANT_PACK, product=grant["product"])
    until = grant.get("expires_at")
    with div("grant"):
        with div("grant-head"):
            el("span", name, "grant-name")
            el("span", say(Overview.GRANT_LEFT, left=du(left), whole=du(whole)), "figure")
        bar(share_ppm(left, whole), name, "bar-free" if free else "bar-pack")
        el("span", say(Overview.GRANT_UNTIL, at=moment(until)[:10]) if until else say(Overview.GRANT_NO_END), "hint")
