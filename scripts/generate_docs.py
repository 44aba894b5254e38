"""Writes the reference pages from the code; with --check, says which are out of date.

Usage: python -m scripts.generate_docs [--check]
"""

import json
import sys
from pathlib import Path

from fastapi.routing import APIRoute

from scripts.import_contract import TABLE
from zhisuan.api.auth import Allow, Gateway, Public, SiteAgent
from zhisuan.api.build import ROUTERS
from zhisuan.app.quickstart.report import Report
from zhisuan.base.settings import Settings
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.cli.reference import render_reference
from zhisuan.tenancy.roles import PERMISSIONS, Role
from zhisuan.workload.reading import refused

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
MADE = "<!-- Made by `make docs` from the code; edit the code instead. -->\n\n"


def rule_of(route: APIRoute) -> str:
    """The authorisation rule of a route, in words."""
    found = [d.call for d in _dependants(route) if isinstance(d.call, Public | Allow | SiteAgent | Gateway)]
    rule = found[0] if found else None
    if isinstance(rule, Allow):
        return ", ".join(f"`{p}`" for p in rule.permissions)
    return {Public: "anyone", SiteAgent: "the site's credential", Gateway: "the gateway's credential"}.get(
        type(rule), "none"
    )


def _dependants(route: APIRoute) -> list:
    out, stack = [], [route.dependant]
    while stack:
        each = stack.pop()
        out.append(each)
        stack += each.dependencies
    return out


def api_page() -> str:
    lines = [
        "# REST API", "",
        "Base path `/api/v1`. The running server has the whole form at `/api/v1/openapi.json` and a page to try it at",
        "`/api/v1/docs`. Authentication: `Authorization: Bearer <API key or session>`. Calls that change something take an",
        "`Idempotency-Key` header: repeating a call with its key repeats the first answer; another body is a 409. Errors are",
        "`application/problem+json` with a stable `code`, what happened and what to do, in English and Chinese.", "",
    ]  # fmt: skip
    by_tag: dict[str, list[str]] = {}
    for route in (r for module in ROUTERS for r in module.router.routes):
        if isinstance(route, APIRoute):
            method = ", ".join(sorted(route.methods))
            summary = (route.description or route.summary or "").strip().splitlines()
            text = summary[0] if summary else ""
            by_tag.setdefault(str(route.tags[0]), []).append(
                f"| `{method}` | `/api/v1{route.path}` | {rule_of(route)} | {text} |"
            )
    for tag, rows in by_tag.items():
        lines += [f"## {tag}", "", "| method | path | who | what |", "| --- | --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def roles_page() -> str:
    rights = sorted({p for held in PERMISSIONS.values() for p in held})
    head = "| permission | " + " | ".join(r.value for r in Role) + " |"
    rows = [f"| `{p}` | " + " | ".join("yes" if p in PERMISSIONS[r] else "" for r in Role) + " |" for p in rights]
    return "\n".join(["# Roles and permissions", "", head, "| --- |" + " --- |" * len(Role), *rows, ""])


def skypilot_page() -> str:
    lines = [
        "# Fields of SkyPilot that are refused", "",
        "A [workload file](workload-file.md) is written as SkyPilot's task YAML. These of its fields are about one cloud, or not there",
        "yet; a file that has one is refused with the field's name and this reason. Nothing is ignored silently.", "",
    ]  # fmt: skip
    mounts = {"{target: {source, store, mode …}}": refused.MOUNTS_REFUSED["storage"], "{target: s3://…}": refused.MOUNTS_REFUSED["url"]}
    for title, fields in (
        ("Top level", {**refused.TOP_REFUSED, "workdir: {url, ref}": refused.GIT_REFUSED}), ("resources", refused.RESOURCES_REFUSED),
        ("service", refused.SERVICE_REFUSED), ("service.readiness_probe", refused.PROBE_REFUSED), ("file_mounts", mounts),
    ):  # fmt: skip
        lines += [f"## {title}", "", "| field | why, and what to use instead | 原因与替代 |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | {text.en} | {text.zh} |" for name, text in fields.items()]
        lines.append("")
    return "\n".join(lines)


def settings_page() -> str:
    rows = [
        f"| `ZHISUAN_{name.upper()}` | {'' if field.default is None or field.is_required() or field.default_factory else f'`{field.default}`'} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["# Settings", "", "| variable | default | meaning |", "| --- | --- | --- |", *rows, ""])


def classes_page() -> str:
    rows = [
        f"| `{c.class_id}` | {c.name.en} · {c.name.zh} | {c.memory_mib or ''} | {c.nominal_fp16_tflops_milli / 1000 if c.nominal_fp16_tflops_milli else ''} | "
        f"{c.published_rate_udu_per_hour / 1e6 if c.published_rate_udu_per_hour else 'unrated'} | {c.rate_basis} | {c.confidence} | {c.source} |"
        for c in load_device_classes()
    ]
    return "\n".join(
        [
            "# Device classes", "",
            "Nominal is the data sheet (TFLOPS, FP16/BF16 dense); the published rate is what bills use (度 an hour for a card or",
            "a core); what a site measures stands with its devices.", "",
            "| class | name | memory MiB | nominal | 度/h | basis | confidence | source |", "| --- | --- | --- | --- | --- | --- | --- | --- |", *rows, "",
        ]
    )  # fmt: skip


def imports_page() -> str:
    rows = [f"| `{p}` | {', '.join(f'`{a}`' for a in allowed) or '–'} |" for p, allowed in TABLE.items()]
    return "\n".join(
        [
            "# Who may import whom",
            "",
            "Everything may import `base`. `make check` enforces this.",
            "",
            "| package | may import |",
            "| --- | --- |",
            *rows,
            "",
        ]
    )


def pages() -> dict[Path, str]:
    return {
        REFERENCE / "api.md": MADE + api_page(),
        REFERENCE / "cli.md": MADE + render_reference(),
        REFERENCE / "roles.md": MADE + roles_page(),
        REFERENCE / "skypilot-fields.md": MADE + skypilot_page(),
        REFERENCE / "settings.md": MADE + settings_page(),
        REFERENCE / "device-classes.md": MADE + classes_page(),
        REFERENCE / "imports.md": MADE + imports_page(),
        REFERENCE / "report.schema.json": json.dumps(Report.model_json_schema(), indent=2, ensure_ascii=False) + "\n",
    }


def main() -> int:
    stale = [path for path, text in pages().items() if not path.is_file() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"out of date: {path.relative_to(ROOT)} (make docs writes it)")
        return 1 if stale else 0
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
