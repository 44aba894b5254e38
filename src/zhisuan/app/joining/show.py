"""What a person sees while a machine joins."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from zhisuan.app.findings import Finding
from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import AmbiguousDevice, DeviceClass, load_device_classes, match_class
from zhisuan.site.discovery import HostFacts
from zhisuan.wire.joining import ClaimMessage
from zhisuan.wire.site import MeasurementReport

WORDS = {
    "ok": ("green", Text("ok     ", "通过")),
    "warn": ("yellow", Text("warning", "注意")),
    "fail": ("red", Text("stop   ", "阻止")),
}
COMPARABLE = ("fp16", "bf16")
NONE = "–"


class Shown:
    """Writes in one language; quiet, where the result goes out as JSON instead."""

    def __init__(self, language: str, *, quiet: bool = False) -> None:
        self._language = language
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)

    def _t(self, en: str, zh: str) -> str:
        return Text(en, zh).in_language(self._language)

    def say(self, text: Text, style: str = "") -> None:
        self._console.print(escape(text.in_language(self._language)), style=style)

    def findings(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            style, word = WORDS[finding.verdict]
            label = f"[{style}]{word.in_language(self._language)}[/]"
            self._console.print(f"  {label}  {escape(finding.what.in_language(self._language))}")
            if finding.remedy is not None:
                self._console.print(f"           → {escape(finding.remedy.in_language(self._language))}")

    def verdict(self, findings: Iterable[Finding]) -> None:
        """One line: how it stands."""
        counted = {v: sum(f.verdict == v for f in findings) for v in WORDS}
        if counted["fail"]:
            stops, warnings = counted["fail"], counted["warn"]
            self.say(
                Text(
                    f"This machine cannot join yet: {stops} to mend, {warnings} to look at.",
                    f"本机暂时无法加入：{stops} 项需修复，{warnings} 项需留意。",
                ),
                "bold red",
            )
        else:
            self.say(
                Text(
                    f"This machine can join ({counted['warn']} warnings).",
                    f"本机可以加入（{counted['warn']} 项注意）。",
                ),
                "bold green",
            )

    def devices(
        self, facts: HostFacts, measured: Mapping[str, tuple[MeasurementReport, ...]], claims: Iterable[ClaimMessage]
    ) -> None:
        """What was found and measured, beside what is claimed and what the data sheet says."""
        table = Table(box=None, pad_edge=False, show_edge=False)
        for title in (
            self._t("device", "设备"),
            self._t("class", "型号"),
            self._t("claimed", "声明"),
            self._t("nominal", "标称"),
            self._t("measured", "实测"),
        ):
            table.add_column(title, overflow="fold")
        claimed = {c.class_id: c for c in claims}
        cores = self._t(
            f"{facts.cpu.model}, {facts.cpu.cores_usable} cores", f"{facts.cpu.model}，{facts.cpu.cores_usable} 核"
        )
        table.add_row(cores, "cpu-core", NONE, NONE, _speeds(measured.get("cpu", ())))
        found: dict[str, int] = {}
        for card in facts.accelerators:
            facts_of = _class_of(card.name, card.memory_mib)
            class_id = facts_of.class_id if facts_of else self._t("not known", "未知")
            found[class_id] = found.get(class_id, 0) + 1
            claim = claimed.get(class_id)
            said = decimal_text(claim.tflops_milli, 3) if claim and claim.tflops_milli else NONE
            nominal = facts_of.nominal_fp16_tflops_milli if facts_of else None
            table.add_row(
                card.name, class_id, said, NONE if nominal is None else decimal_text(nominal, 3),
                _speeds(measured.get(card.key, ())),
            )  # fmt: skip
        self._console.print(table)
        for claim in claimed.values():
            if found.get(claim.class_id, 0) < claim.count:
                self.say(
                    Text(
                        f"! {claim.count} {claim.class_id} claimed, {found.get(claim.class_id, 0)} found: the operator sees both.",
                        f"! 声明 {claim.count} 个 {claim.class_id}，实际发现 {found.get(claim.class_id, 0)} 个：运营方会同时看到。",
                    ),
                    "yellow",
                )

    def probes(self, report: Mapping[str, Any]) -> None:
        """Memory, disk and the way to the server."""
        rows = [
            (Text(f"memory {m['kernel']}", f"内存 {m['kernel']}"), f"{m['megabytes_per_second']} MB/s")
            for m in report.get("memory", ())
        ]
        if disk := report.get("disk"):
            rows.append((Text("disk write", "磁盘写入"), f"{disk['write_megabytes_per_second']} MB/s"))
            if disk.get("read_megabytes_per_second"):
                rows.append((Text("disk read", "磁盘读取"), f"{disk['read_megabytes_per_second']} MB/s"))
        if trip := report.get("round_trip"):
            rows.append((Text("round trip to the server", "到服务器的往返时延"), f"{trip['median_us'] / 1000:.1f} ms"))
        later = Text("measured by the running agent; see `zhisuan site links SITE`", "由运行中的代理测量；见 zhisuan site links SITE")
        rows.append((Text("round trip to other sites", "到其他站点的往返时延"), later.in_language(self._language)))
        for name, value in rows:
            self._console.print(f"  {name.in_language(self._language)}: {escape(value)}")

    def lines(self, lines: Iterable[str]) -> None:
        """Commands to copy, as they are."""
        for line in lines:
            self._console.print(f"  {escape(line)}")


def _class_of(name: str, memory_mib: int) -> DeviceClass | None:
    classes = load_device_classes()
    try:
        class_id = match_class(name, memory_mib, classes)
    except AmbiguousDevice:
        return None
    return next((c for c in classes if c.class_id == class_id), None)


def _speeds(measured: Iterable[MeasurementReport]) -> str:
    """``fp16 289.4, fp32 17.1`` in TFLOPS, the comparable precisions first; small ones in GFLOPS."""
    ordered = sorted(measured, key=lambda m: (m.precision not in COMPARABLE, m.precision))
    return ", ".join(f"{m.precision} {_speed(m.mflops)}" for m in ordered) or NONE


def _speed(mflops: int) -> str:
    if mflops >= 1_000_000:
        return f"{decimal_text(mflops // 100_000, 1)} TFLOPS"
    return f"{decimal_text(mflops // 100, 1)} GFLOPS"
