"""``--json``: one document on standard output, errors as one document on standard error, and the exit statuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_canned import (
    ANSWERS,
    DEPLOYMENT,
    INVOICE,
    JOB,
    KEY,
    LINE,
    ORG,
    PAGES,
    SITE,
    WORKSPACE,
    WORKSPACE_ID,
    CannedPlatform,
    problem,
)
from typer.testing import Result

from zhisuan.cli.commands import ROOT
from zhisuan.cli.tree import Command, Group

MORE: dict[str, list[str]] = {
    "keys-revoke": ["keys", "revoke", str(KEY["id"])],
    "site-token": ["site", "token", SITE],
    "site-open": ["site", "open", SITE],
    "site-close": ["site", "close", SITE],
    "volumes": ["volumes"],
    "volumes-create": ["volumes", "create", "data"],
    "volumes-show": ["volumes", "show", "data:sub"],
    "volumes-versions": ["volumes", "versions", "data"],
    "volumes-put": ["volumes", "put", "job.yaml", "data"],
    "volumes-get": ["volumes", "get", "data", "out"],
    "volumes-use": ["volumes", "use", "data", "1"],
    "volumes-rm": ["volumes", "rm", "data", "--reason", "x"],
    "org-data-quota": ["org", "data-quota", "org_1", "500"],
    "models-stop": ["models", "stop", str(DEPLOYMENT["id"])],
    "prices-publish": ["prices", "publish", "job.yaml"],
    "cancel": ["cancel", JOB],
    "jobs-resume": ["jobs", "resume", JOB],
    "jobs-restart": ["jobs", "restart", JOB],
    "workspace-start": ["workspace", "start", "--kind", "shell", "--cpus", "2", "--max-duration", "8h"],
    "workspace-open": ["workspace", "open", WORKSPACE_ID],
    "workspace-stop": ["workspace", "stop", WORKSPACE_ID],
    "org-create": ["org", "create", "某", "--kind", "city", "--email", "a@b.cn", "--person", "某", "--password-stdin"],
    "login": ["login", "--key", "zsk_x"],
    "logout": ["logout"],
    "signup": ["signup", "--organisation", "o", "--email", "a@b.cn", "--name", "n", "--password-stdin"],
}
COMMANDS = {name: words for name, words in PAGES.items() if not name.startswith("help")} | MORE


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_answers_with_one_document(
    run: Callable[..., Result], platform: CannedPlatform, workload_file: Path, name: str
) -> None:
    if name == "workspace-start":
        platform.answers["POST /workloads"] = {"workload": WORKSPACE, "placement": None}
    result = run(*COMMANDS[name], "--json", stdin="secret password\n")
    assert result.exit_code == 0, result.stderr
    json.loads(result.stdout)


def test_every_command_there_is_was_asked() -> None:
    """Following ``launch``, ``chat``, terminals and what starts things on this machine have tests of their own."""
    asked = {tuple(w for w in words if not w.startswith("-"))[:2] for words in COMMANDS.values()}
    for section in ROOT:
        for member in section.members:
            for command in member.members if isinstance(member, Group) else (member,):
                assert isinstance(command, Command)
                if command.source.startswith("@") or command.name in ("chat", "shell"):
                    continue
                path = (member.name, command.name) if isinstance(member, Group) else (member.name,)
                default = isinstance(member, Group) and command.name == member.default
                assert any(a[: len(path)] == path or (default and a == path[:1]) for a in asked), path


@pytest.mark.parametrize(
    ("words", "route"),
    [
        (["bill"], "GET /bill"),
        (["wallet"], "GET /wallet"),
        (["jobs", "show", JOB], f"GET /workloads/{JOB}"),
        (["site", "show", SITE], f"GET /sites/{SITE}"),
        (["trace", str(LINE["id"])], f"GET /trace/{LINE['id']}"),
        (["catalog"], "GET /catalog"),
    ],
)
def test_the_document_is_the_platforms_own_with_what_we_do_not_know(
    run: Callable[..., Result], platform: CannedPlatform, words: list[str], route: str
) -> None:
    platform.answers[route] = ANSWERS[route] | {"from_the_future": {"a": [1, None]}}
    shown = json.loads(run(*words, "--json").stdout)
    assert contains(shown, platform.answers[route])


def contains(shown: Any, sent: Any) -> bool:
    """Whether all that was sent is shown; fields with defaults may have come on top."""
    if isinstance(sent, dict):
        return isinstance(shown, dict) and all(
            name in shown and contains(shown[name], value) for name, value in sent.items()
        )
    if isinstance(sent, list):
        return isinstance(shown, list) and len(shown) == len(sent) and all(map(contains, shown, sent))
    return bool(shown == sent)


STATUSES = [
    (problem(401, "not authenticated"), 4),
    (problem(402, "payment required"), 1),
    (problem(403, "forbidden"), 1),
    (problem(404, "not found"), 1),
    (problem(409, "conflict"), 1),
    (problem(422, "cannot fit"), 1),
    (problem(500, "internal"), 1),
    (problem(503, "unavailable"), 3),
    (httpx.ConnectError("connection refused"), 3),
    (httpx.Response(200, text="<html>"), 1),
]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("answer", "status"), STATUSES)
def test_a_refusal_says_what_and_why_with_its_exit_status(
    run: Callable[..., Result], platform: CannedPlatform, answer: Any, status: int, as_json: bool
) -> None:
    again = (
        answer
        if isinstance(answer, Exception)
        else httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
    )
    platform.answers["GET /wallet"] = [again] * 5
    result = run("wallet", *(["--json"] if as_json else []))
    assert result.exit_code == status
    assert result.stdout == ""
    if as_json:
        document = json.loads(result.stderr)
        assert document["detail"]
        assert document["code"]
        assert document["zh"]["detail"]
    else:
        assert result.stderr.startswith("Error: ")


def test_a_refusal_reads_well_in_both_languages(run: Callable[..., Result], platform: CannedPlatform) -> None:
    platform.answers["GET /wallet"] = problem(422, "invalid input", "The file is wrong.", "文件有误。")
    assert run("wallet").stderr == "Error: The file is wrong.\n  resources.cpus: too many\nDo better.\n"
    assert run("wallet", lang="zh").stderr == "错误：文件有误。\n  resources.cpus：过多\n请改进。\n"


USAGE = [
    (["nope"], "There is no command nope.", "没有命令 nope。"),
    (["job"], "There is no command job. Did you mean jobs?", "没有命令 job。 您是否想用 jobs？"),
    (["jobs", "shw", JOB], "There is no command shw. Did you mean show?", "没有命令 shw。 您是否想用 show？"),
    (["jobs", "show"], "ID is missing.", "缺少 ID。"),
    (["jobs", "--nope"], "There is no option --nope.", "没有选项 --nope。"),
    (["jobs", "--stat", "x"], "There is no option --stat. Did you mean --state?", "没有选项 --stat。 您是否想用 --state？"),
    (["jobs", "--state"], "Option '--state' requires an argument.", "选项 --state 缺少取值或取值个数不对。"),
    (["jobs", "show", "a", "b"], "This is too much: b", "多余的参数：b"),
    (["jobs", "--limit", "x"], "--limit: ", "--limit："),
    (["jobs", "--limit", "0"], "--limit: ", "--limit："),
    (["site", "create", "x", "--region", "CN-AH"], "--pue is missing.", "缺少 --pue。"),
    (["site", "create", "x", "--region", "CN-AH", "--pue", "1.2345"], "--pue 1.2345: ", "--pue 1.2345："),
    (["site", "create", "x", "--region", "CN-AH", "--pue", "low"], "--pue low: ", "--pue low："),
    (["payout", ORG, "1.234", "--reference", "r"], "1.234: an amount", "1.234：须为"),
    (["payout", ORG, "NaN", "--reference", "r"], "NaN: an amount", "NaN：须为"),
    (["payout", ORG, "-1", "--reference", "r"], "There is no option -1.", "没有选项 -1。"),
    (["quote", "f", "--env", "X"], "--env X: ", "--env X："),
    (["bill", "--month", "2026-08", "--charges"], "--month, --invoice and --charges", "--month、--invoice"),
    (["bill", "--lease", "x"], "--lease and --line go with", "--lease 与 --line"),
    (["prices", "publish", "job.yaml", "--from", "tomorrow"], "--from tomorrow: ", "--from tomorrow："),
    (["login", "--key", "a", "--email", "b"], "--key and --email", "--key 与 --email"),
    (["login"], "E-mail or API key is missing", "缺少邮箱或 API 密钥"),
    (["--profile"], "--profile is missing", "--profile 缺少"),
    (["invoice"], "A command is missing.", "缺少命令。"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "en", "zh"), USAGE)
def test_a_wrong_command_line_is_told_in_both_languages_and_asks_the_platform_nothing(
    run: Callable[..., Result], platform: CannedPlatform, workload_file: Path, words: list[str], en: str, zh: str
) -> None:
    for language, expected in (("en", en), ("zh", zh)):
        result = run(*words, lang=language, stdin="")
        assert result.exit_code == 2, result.output
        assert expected in result.stderr
        assert result.stdout == ""
    if not words[-1].startswith("--"):
        document = json.loads(run(*words, "--json", stdin="").stderr)
        assert document["code"] == "usage"
    assert not any(route.startswith("POST") for route, *_ in platform.calls)


def test_an_unexpected_failure_is_one_sentence_unless_debugging(
    run: Callable[..., Result], platform: CannedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zhisuan.sdk.Client", None)
    result = run("wallet")
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    assert "ZHISUAN_DEBUG=1" in result.stderr
    assert "Traceback" in run("wallet", ZHISUAN_DEBUG="1").stderr


def test_json_after_the_double_dash_is_no_option(run: Callable[..., Result], platform: CannedPlatform) -> None:
    platform.answers["GET /trace/--json"] = problem(404, "not found")
    assert run("trace", "--", "--json").stderr.startswith("Error: ")


def test_lists_stop_at_their_limit(run: Callable[..., Result], platform: CannedPlatform) -> None:
    one = ANSWERS["GET /workloads"]["items"][0]
    platform.answers["GET /workloads"] = {"items": [one | {"id": f"job_{n}"} for n in range(9)], "next_cursor": "more"}
    shown = json.loads(run("jobs", "--limit", "4", "--json").stdout)
    assert [w["id"] for w in shown["items"]] == ["job_0", "job_1", "job_2", "job_3"]
    assert len(platform.calls) == 1


def test_filters_go_to_the_platform(run: Callable[..., Result], platform: CannedPlatform) -> None:
    run("jobs", "--state", "running", "--kind", "job")
    run("bill", "--month", "2026-07")
    run("bill", "--charges", "--line", str(LINE["id"]))
    assert [query for *_, query in platform.calls] == [
        {"limit": "100", "state": "running", "kind": "job"},
        {"month": "2026-07"},
        {"limit": "100", "invoice_line_id": LINE["id"]},
    ]


def test_amounts_reach_the_platform_exactly(run: Callable[..., Result], platform: CannedPlatform) -> None:
    run("payout", ORG, "12.34", "--reference", "r")
    run("org", "topup", ORG, "20.00", "--reference", "r")
    run("site", "create", "x", "--region", "CN-AH", "--pue", "1.125")
    run("invoice", "issue", ORG, "--through", "2026-08-01")
    assert platform.sent(f"POST /providers/{ORG}/payouts") == {"amount_fen": 1234, "reference": "r"}
    assert platform.sent(f"POST /organisations/{ORG}/top-ups")["amount_yuan"] == "20.00"
    assert platform.sent("POST /sites")["pue_milli"] == 1125
    assert platform.sent(f"POST /organisations/{ORG}/invoices") == {"through": "2026-08-01T00:00:00+08:00"}


def test_checks_that_fail_end_so(run: Callable[..., Result], platform: CannedPlatform) -> None:
    bad = {"name": "n", "ok": False, "detail": {"en": "Off by one.", "zh": "差一。"}}
    platform.answers["GET /bill/checks"] = {"items": [bad]}
    assert run("checks").exit_code == 1
    assert run("checks", "--json").exit_code == 1
    platform.answers["GET /me"] = ANSWERS["GET /me"] | {"organisation": {"id": ORG, "kind": "operator", "name": "o"}}
    assert run("checks").exit_code == 0


def test_downloads_land_in_the_folder(run: Callable[..., Result], platform: CannedPlatform, tmp_path: Path) -> None:
    import hashlib

    data = b"12345"
    artefact = ANSWERS[f"GET /workloads/{JOB}/artefacts"]["items"][0] | {"sha256": hashlib.sha256(data).hexdigest()}
    platform.answers[f"GET /workloads/{JOB}/artefacts"] = {"items": [artefact], "next_cursor": None}
    platform.answers["GET /artefacts/art_1/content"] = httpx.Response(200, content=data)
    shown = json.loads(run("jobs", "artefacts", JOB, "--download", str(tmp_path / "out"), "--json").stdout)
    assert shown["files"] == [str(tmp_path / "out" / "model" / "weights.bin")]
    assert Path(shown["files"][0]).read_bytes() == data


def test_invoice_number_is_shown_as_the_platform_gave_it(run: Callable[..., Result], platform: CannedPlatform) -> None:
    assert json.loads(run("bill", "--invoice", str(INVOICE["id"]), "--json").stdout)["number"] == 3
