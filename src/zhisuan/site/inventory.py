"""What this site has to offer: discovered at every start, measured once a boot and version, told to the server."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from zhisuan import __version__
from zhisuan.base.clock import Clock
from zhisuan.engines.contract import AcceleratorGrant, EngineReport
from zhisuan.site.backoff import log
from zhisuan.site.config import ProbeSettings
from zhisuan.site.discovery import Accelerator, HostFacts, SystemHostReader, discover
from zhisuan.site.journal import Journal
from zhisuan.site.probes import ProbeReport, Progress, probe_host
from zhisuan.site.threads import unattended
from zhisuan.wire.site import DeviceReport, EngineFacts, Inventory, MeasurementReport, NodeReport

CPU_KEY = "cpu"
MEMORY_KEY = "memory"
_FACT = "measured"
# Work is not sold the memory that the system and the agent live on.
_RESERVE_SHARE = 16
_RESERVE_MIB_MAX = 4096


@dataclass(frozen=True, slots=True)
class Measured:
    """Probe results by device key, with the plain form of the whole report."""

    by_device: Mapping[str, tuple[MeasurementReport, ...]]
    report: Mapping[str, Any]

    def with_fact(self, name: str, value: Any) -> "Measured":
        return Measured(self.by_device, {**self.report, name: value})


NOT_MEASURED = Measured({}, {})


async def survey(
    data_dir: str, settings: ProbeSettings, journal: Journal, clock: Clock, *, working: bool
) -> tuple[HostFacts, Measured]:
    """Discover the host, and measure it unless that was done in this boot by this version. While something works here
    (``working``) nothing is measured: it would disturb the work and falsify the result."""
    facts = await asyncio.to_thread(discover, SystemHostReader(), data_dir=data_dir)
    for problem in facts.problems:
        log.warning("%s %s", problem.what.en, problem.remedy.en)
    subject = _subject(facts)
    kept = journal.fact(_FACT)
    known = kept is not None and kept["subject"] == subject
    if not settings.enabled or (known and not settings.fresh):
        return facts, _restore(kept) if known else NOT_MEASURED
    if working:
        log.warning("Work is running here; the machine is measured at the next start without any.")
        return facts, _restore(kept) if kept is not None else NOT_MEASURED
    report = await unattended(
        lambda: probe_host(facts, data_dir=data_dir, budget=settings.budget, on_progress=_say_progress), "probes"
    )
    measured = _measured(facts, report, clock)
    journal.keep_fact(_FACT, {"subject": subject, **_plain(measured)})
    for key, results in measured.by_device.items():
        for one in results:
            log.info("Measured %s: %s %d.%03d GFLOPS.", key, one.precision, *divmod(one.mflops, 1000))
    for problem in report.problems:
        log.warning("%s %s", problem.what.en, problem.remedy.en)
    return facts, measured


def _say_progress(progress: Progress) -> None:
    log.info("Measuring (%d of %d): %s", progress.step, progress.steps, progress.what.en)


def boot_of(facts: HostFacts) -> str:
    """What changes when the host starts anew; where the system has no id for it, the second it came up."""
    return facts.boot_id or f"up-since-{int(psutil.boot_time())}"


def _subject(facts: HostFacts) -> list[str]:
    """What a measurement holds for: the boot, this version, and the devices as they are now."""
    devices = [f"{a.key} {a.driver_version}" for a in facts.accelerators]
    return [boot_of(facts), __version__, str(facts.cpu.cores_usable), *devices]


def _measured(facts: HostFacts, report: ProbeReport, clock: Clock) -> Measured:
    at = clock.now()
    keys = {("cuda", a.index): a.key for a in facts.accelerators} | {("cpu", 0): CPU_KEY}
    by_device: dict[str, tuple[MeasurementReport, ...]] = {}
    for m in report.measurements:
        key = keys.get((m.device_kind, m.device_index))
        if key is not None:
            one = MeasurementReport(precision=m.precision, mflops=m.mflops, method=m.method, at=at)
            by_device[key] = (*by_device.get(key, ()), one)
    return Measured(by_device, report.to_json())


def _plain(measured: Measured) -> dict[str, Any]:
    by_device = {key: [m.model_dump(mode="json") for m in ms] for key, ms in measured.by_device.items()}
    return {"by_device": by_device, "report": dict(measured.report)}


def _restore(kept: Mapping[str, Any]) -> Measured:
    by_device = {k: tuple(MeasurementReport.model_validate(m) for m in ms) for k, ms in kept["by_device"].items()}
    return Measured(by_device, kept["report"])


def inventory(
    facts: HostFacts,
    measured: Measured,
    engine: EngineReport,
    *,
    allow_unisolated: bool,
    memory_reserve_mib: int | None,
) -> Inventory:
    """The message. The memory offered is the usable less the reserve: by default a sixteenth, at most 4 GiB."""
    usable_mib = facts.memory.usable_mib
    if memory_reserve_mib is None:
        memory_reserve_mib = min(_RESERVE_MIB_MAX, usable_mib // _RESERVE_SHARE)
    devices = [
        DeviceReport(
            key=CPU_KEY,
            kind="cpu",
            name=facts.cpu.model,
            capacity=facts.cpu.cores_usable * 1000,
            health="ok",
            measurements=measured.by_device.get(CPU_KEY, ()),
        ),
        DeviceReport(
            key=MEMORY_KEY,
            kind="memory",
            name="main memory",
            capacity=max(0, usable_mib - memory_reserve_mib),
            memory_mib=usable_mib,
            health="ok",
        ),
    ]
    devices += [card_report(a, measured.by_device.get(a.key, ())) for a in facts.accelerators]
    node = NodeReport(
        hostname=facts.hostname,
        os=f"{facts.os.name} {facts.os.version}".strip(),
        architecture=facts.os.architecture,
        boot_id=boot_of(facts),
        facts={**facts.to_json(), "probes": dict(measured.report)},
        devices=tuple(devices),
    )
    return Inventory(engine=engine_facts(engine, allow_unisolated=allow_unisolated), nodes=(node,))


def engine_facts(report: EngineReport, *, allow_unisolated: bool) -> EngineFacts:
    return EngineFacts(
        engine=report.engine,
        version=report.version,
        isolation=report.isolation.value,
        allow_unisolated=allow_unisolated,
        nodes_max=max(1, report.nodes_max),
        jupyterlab=report.jupyterlab,
        shells=report.shells,
        limits=dict(report.limits),
        problems=tuple(asdict(p) for p in report.problems),
    )


def card_report(device: Accelerator, measurements: tuple[MeasurementReport, ...]) -> DeviceReport:
    """One accelerator; what its tool has against it stands in the note, in both languages."""
    reason = device.health_reason
    return DeviceReport(
        key=device.key,
        kind="accelerator",
        name=device.name,
        capacity=1000,
        memory_mib=device.memory_mib,
        health=device.health,
        note=None if reason is None else f"{reason.en} {reason.zh}",
        measurements=measurements,
    )


def accelerator_grants(facts: HostFacts) -> dict[str, dict[str, AcceleratorGrant]]:
    """The engine's view of each accelerator by host name and device key."""
    return {facts.hostname: {a.key: card_grant(a) for a in facts.accelerators}}


def card_grant(device: Accelerator) -> AcceleratorGrant:
    """NVIDIA's key is the vendor's own UUID."""
    uuid = device.key if device.vendor == "nvidia" else None
    return AcceleratorGrant(device.vendor, device.index, uuid, device.bus_id)
