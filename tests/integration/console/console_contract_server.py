"""A test double of the platform: the contract's routes with recorded answers, and the real console on top.

Run as ``python contract_server.py PORT``. People sign in as ``tenant@``, ``operator@``, ``provider@``, ``city@`` or ``member@``
``example.com`` with any password but ``wrong``; ``new@example.com`` is a tenant without anything.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import console_contract_data as d
import orjson
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from zhisuan.api import explained_schemas as x
from zhisuan.api import schemas as s
from zhisuan.api import work_schemas as w
from zhisuan.api.routes.templates import list_templates
from zhisuan.base.errors import FieldProblem, Forbidden, InvalidInput, NotAuthenticated, NotFound, ZhisuanError
from zhisuan.base.text import Text
from zhisuan.console.app import mount
from zhisuan.tenancy.roles import PERMISSIONS, Role

KIND = {"tenant": "tenant", "member": "tenant", "new": "tenant", "operator": "operator", "provider": "provider", "city": "city"}


class State:
    """What changes while the double runs."""

    def __init__(self) -> None:
        self.sessions: dict[str, str] = {}
        self.seen: list[dict[str, str | None]] = []
        self.cancelled: set[str] = set()
        self.deployments: dict[str, s.DeploymentView] = {}
        self.site_states: dict[str, str] = {}
        self.down = False


def build_double(port: int) -> FastAPI:
    """The routes of the platform, answered from records."""
    app = FastAPI(openapi_url=None)
    state = app.state.double = State()
    base = f"http://127.0.0.1:{port}"

    @app.middleware("http")
    async def remember(request: Request, call_next: Any) -> Response:
        if request.url.path.startswith("/api/v1"):
            body = (await request.body()).decode(errors="replace") if request.method == "POST" else ""
            state.seen.append({"method": request.method, "path": request.url.path, "key": request.headers.get("idempotency-key"), "body": body})
            if state.down:
                return Response("gateway timeout", 502)
        return await call_next(request)

    @app.exception_handler(ZhisuanError)
    async def problem(request: Request, error: ZhisuanError) -> JSONResponse:
        return JSONResponse(error.as_problem(request.headers.get("accept-language", "en")), error.status, media_type="application/problem+json")

    def who(request: Request) -> str:
        found = state.sessions.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if found is None:
            raise NotAuthenticated(Text("The session has ended.", "登录已过期。"), Text("Sign in again.", "请重新登录。"))
        return found

    def need(request: Request, *permissions: str) -> str:
        person = who(request)
        role = Role(d.ORG["tenant" if person == "new" else person][1])
        if not PERMISSIONS[role] & set(permissions):
            raise Forbidden(Text("The role does not allow this.", "该角色无权执行此操作。"), Text("Ask an owner.", "请联系所有者。"))
        return person

    def page(items: list[Any], next_cursor: str | None = None) -> dict[str, Any]:
        return {"items": [i.model_dump(mode="json") if hasattr(i, "model_dump") else i for i in items], "next_cursor": next_cursor}

    @app.get("/test/seen")
    def seen() -> list[Any]:
        return state.seen

    @app.post("/test/down/{on}")
    def down(on: int) -> dict[str, bool]:
        state.down = bool(on)
        return {"down": state.down}

    @app.post("/test/end-sessions")
    def end_sessions() -> None:
        state.sessions.clear()

    @app.get("/api/v1/platform")
    def platform() -> s.PlatformView:
        return s.PlatformView(version="0.1.0", gateway_url=base, console_url=base, region="CN-AH")

    @app.post("/api/v1/sessions", status_code=201)
    async def sign_in(request: Request) -> s.KeyMade:
        body = await request.json()
        person = str(body["email"]).split("@")[0]
        if person not in KIND or body["password"] == "wrong":
            raise NotAuthenticated(Text("Address or password is wrong.", "邮箱或密码不正确。"), Text("Try again.", "请重试。"))
        secret = f"zss_{person}{len(state.sessions):036}"
        state.sessions[secret] = person
        return s.KeyMade(id=d.ident("ses", 1), secret=secret)

    @app.delete("/api/v1/sessions/current", status_code=204)
    def sign_out(request: Request) -> Response:
        state.sessions.pop(request.headers.get("authorization", "").removeprefix("Bearer "), None)
        return Response(status_code=204)

    @app.post("/api/v1/sign-up", status_code=201)
    async def sign_up(request: Request) -> s.SignedUp:
        body = await request.json()
        if body["email"] == "taken@example.com":
            raise InvalidInput(Text("The address is taken.", "该邮箱已被使用。"), Text("Sign in, or use another.", "请登录或换用其他邮箱。"),
                               problems=[FieldProblem("email", Text("is taken", "已被使用"))])
        return s.SignedUp(organisation_id=d.ident("org", 9), user_id=d.ident("usr", 9), project_id=d.ident("prj", 9),
                          key=s.KeyMade(id=d.ident("key", 9), secret="zsk_shownonce" + "0" * 28))

    @app.get("/api/v1/me")
    def me(request: Request) -> s.Me:
        person = who(request)
        name, role = d.ORG["tenant" if person == "new" else person]
        return s.Me(organisation={"id": d.ident("org", 1), "kind": KIND[person], "name": name},
                    user={"id": d.ident("usr", 1), "name": d.PEOPLE.get(person, "Neu"), "email": f"{person}@example.com", "language": "zh"},
                    role=role, permissions=sorted(PERMISSIONS[Role(role)]), project_id=None)

    @app.get("/api/v1/overview")
    def overview(request: Request) -> dict[str, Any]:
        person = who(request)
        month = {"seconds": 86_211, "quantity_udu": 14_821_036, "cash_ucny": 64_998_000, "value_ucny": 143_468_252}
        states = {"pending": 2, "placed": 0, "starting": 1, "running": 3, "succeeded": 41, "failed": 2, "cancelled": 4}
        use = [{"kind": "accelerator", "capacity": 48_000, "allocated": 31_000}, {"kind": "cpu", "capacity": 1_024_000, "allocated": 402_500},
               {"kind": "memory", "capacity": 4_112_000, "allocated": 1_204_224}]
        if person == "new":
            return {"kind": "tenant", "workloads": dict.fromkeys(states, 0), "recent": [], "deployments": 0,
                    "wallet": {**d.wallet().model_dump(mode="json"), "wallet_ucny": 0, "arrears_ucny": 1_250_000, "grants": []},
                    "month": {**dict.fromkeys(month, 0), "carbon_ug": 0}, "daily": [{**x, "quantity_udu": 0} for x in d.daily()]}
        if person in ("tenant", "member"):
            recent = [d.workload(n, name=d.HOSTILE if n == 3 else None) for n in range(8)]
            return {"kind": "tenant", "workloads": states, "recent": [w.model_dump(mode="json") for w in recent], "deployments": 1,
                    "wallet": d.wallet().model_dump(mode="json"), "month": {**month, "carbon_ug": 6_962_206_166_398}, "daily": d.daily()}
        if person == "provider":
            return {"kind": "provider", "sites": 5, "reachable": 3, "devices": {"accelerators": 48, "cores": 1024}, "used_ppm": 645_833,
                    "payable_fen": 1_204_331, "month": month, "daily": d.daily()}
        if person == "operator":
            return {"kind": "operator", "sites": {"total": 5, "reachable": 3}, "organisations": {"tenant": 128, "provider": 6, "operator": 1, "city": 1},
                    "workloads": states, "waiting": 2, "utilisation": use, "delivery_seconds_p50": "0.412", "month": month, "daily": d.daily(), "quarantined": 3,
                    "swept": {"days": 30, "file_count": 1240, "size_bytes": 83_000_000_000}}
        return {"kind": "city", "sites": {"total": 5, "reachable": 3}, "providers": 6, "tenants": 128, "measured_mflops_total": 48_211_402_118,
                "utilisation": use, "month": month, "energy_uwh": 9_114_028_231_834, "carbon_ug": 6_962_206_166_398, "daily": d.daily()}

    @app.get("/api/v1/workloads")
    def workloads(request: Request, state_: str | None = None, kind: str | None = None, cursor: str | None = None, limit: int = 50) -> Any:
        person = need(request, "org:workload:read", "platform:workload:read")
        wanted = request.query_params.get("state")
        if person == "new":
            return page([])
        found = [d.workload(n, name=d.HOSTILE if n == 3 else None) for n in range(130)]
        found = [w for w in found if wanted in (None, w.state) and kind in (None, w.kind)]
        start = int(cursor or 0)
        return page(found[start : start + limit], str(start + limit) if len(found) > start + limit else None)

    def view(workload_id: str) -> s.WorkloadView:
        if workload_id == "job_watched":
            over = workload_id in state.cancelled
            return d.workload(0, "cancelled" if over else "running", d.HOSTILE).model_copy(update={"id": workload_id})
        for n in range(130):
            if d.workload(n).id == workload_id:
                return d.workload(n, "cancelled" if workload_id in state.cancelled else None, d.HOSTILE if n == 3 else None)
        raise NotFound.of(Text("workload", "工作负载"), workload_id)

    @app.get("/api/v1/workloads/{workload_id}")
    def workload(request: Request, workload_id: str) -> w.WorkloadDetail:
        need(request, "org:workload:read", "platform:workload:read")
        return d.detail(view(workload_id))

    @app.post("/api/v1/workloads/{workload_id}/cancel")
    def cancel(request: Request, workload_id: str) -> s.WorkloadView:
        need(request, "org:workload:write", "platform:workload:cancel")
        view(workload_id)
        state.cancelled.add(workload_id)
        return view(workload_id)

    @app.get("/api/v1/workloads/{workload_id}/why")
    def why(request: Request, workload_id: str) -> x.Why:
        need(request, "org:workload:read", "platform:workload:read")
        return x.Why(state=view(workload_id).state, reason=d.words("None of 16 nodes can take it now; for 14 of them: they have no L40S:1.", "16 个节点当前都无法承接；其中 14 个：没有 L40S:1。"),
                     placement=None, unblock=[d.words("other work there ends", "等待其他作业结束"), d.words("ask for another accelerator", "换用其他加速卡")],
                     **d.explained(view(workload_id).state))

    @app.get("/api/v1/workloads/{workload_id}/logs")
    def logs(request: Request, workload_id: str, offset: int = 0, limit: int = 65536) -> s.LogText:
        need(request, "org:workload:read")
        text = log_text(200)[offset : offset + limit]
        return s.LogText(text=text, offset=offset, next_offset=offset + len(text), complete=True)

    @app.get("/api/v1/workloads/{workload_id}/watch")
    async def watch(request: Request, workload_id: str, offset: int = 0) -> StreamingResponse:
        need(request, "org:workload:read")
        return StreamingResponse(events(state, view, workload_id, offset), media_type="text/event-stream")

    @app.get("/api/v1/workloads/{workload_id}/artefacts")
    def artefacts(request: Request, workload_id: str) -> Any:
        need(request, "org:workload:read")
        if view(workload_id).state != "succeeded":
            return page([])
        return page([s.ArtefactView(id=d.ident("art", n), path=p, size_bytes=size, sha256=f"{n}" * 64, created_at=d.NOW)
                     for n, (p, size) in enumerate([("model/模型 权重.safetensors", 3_412_992), ("evaluation.json", 812), (f"{d.HOSTILE}", 12)])])

    @app.get("/api/v1/artefacts/{artefact_id}/content")
    def content(request: Request, artefact_id: str) -> Response:
        need(request, "org:workload:read")
        return Response(b"<script>window.hacked=1</script>", media_type="application/octet-stream")

    @app.get("/api/v1/templates")
    def templates(request: Request) -> Any:
        need(request, "org:workload:read")
        return list_templates(None)

    @app.post("/api/v1/quotes")
    async def quote(request: Request) -> x.QuoteView:
        need(request, "org:workload:write")
        file = (await request.json())["file"]
        if "cpuz" in file:
            raise InvalidInput(Text("The workload file cannot be used as it is.", "工作负载文件有误，无法使用。"), Text("Correct the fields named below.", "请按下列提示修改。"),
                               problems=[FieldProblem("resources.cpuz", Text("is not a field of a workload file", "不是工作负载文件的字段")),
                                         FieldProblem("name", Text(f"is {d.HOSTILE}", f"是 {d.HOSTILE}"))])
        return x.QuoteView(shape=[], rate_udu_per_hour=650_000, price_e8_per_du=d.PRICE_E8, price_book_version=1, hour_ucny=11_700_000, hour_ucny_max=11_700_000,
                           candidates=[d.candidate(n) for n in range(4)], rejected=d.REJECTED, reason=d.placement(1).reason, carbon_g_per_hour_milli=412_300,
                           sites=[d.quoted_site(n) for n in range(4)], sites_counted=37)

    @app.post("/api/v1/workloads", status_code=201)
    async def launch(request: Request) -> s.WorkloadLaunched:
        need(request, "org:workload:write")
        return s.WorkloadLaunched(workload=view("job_watched"), placement=d.placement(1))

    more_routes(app, state, base, need, page)
    return app


LINES = ["\x1b[32mstep\x1b[0m {n} loss 0.{n:04}", "\u6b63\u5728\u8bad\u7ec3\u7b2c {n} \u6b65", d.HOSTILE, "progress 10%\rprogress {n}%"]


def log_text(lines: int, start: int = 0) -> str:
    return "".join(LINES[n % len(LINES)].replace("{n}", str(n)).replace("{n:04}", f"{n:04}") + "\n" for n in range(start, start + lines))


async def events(state: State, view: Any, workload_id: str, offset: int) -> AsyncIterator[bytes]:
    def pack(name: str, data: Any) -> bytes:
        return f"event: {name}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"

    found = view(workload_id)
    yield pack("state", found.model_dump(mode="json"))
    if offset == 0:
        text = log_text(200)
        offset = len(text.encode())
        yield pack("log", {"text": text, "next_offset": offset})
    if found.state not in ("running", "starting", "pending", "placed"):
        yield pack("end", found.model_dump(mode="json"))
        return
    n = 0
    while workload_id not in state.cancelled:
        await asyncio.sleep(0.1)
        text = f"live line {n}\n"
        offset += len(text)
        yield pack("log", {"text": text, "next_offset": offset})
        moved = view(workload_id).model_copy(update={"progress_ppm": min(999_000, 437_500 + 3000 * n), "progress_message": f"epoch {n}"})
        yield pack("state", moved.model_dump(mode="json"))
        n += 1
    yield pack("log", {"text": "last line\n", "next_offset": offset + 10})
    yield pack("end", view(workload_id).model_dump(mode="json"))


def more_routes(app: FastAPI, state: State, base: str, need: Any, page: Any) -> None:
    """Models, money, sites and the trace."""

    @app.get("/api/v1/models")
    def models(request: Request) -> Any:
        if need(request, "org:model:read") == "new":
            return page([])
        return page([s.ModelView(**d.model().model_dump()), s.ModelView(**d.model("visitor-flow", 2, False).model_dump())])

    @app.get("/api/v1/models/{name}")
    def model(request: Request, name: str) -> s.ModelDetail:
        need(request, "org:model:read")
        if name not in ("scenic-guide", "visitor-flow"):
            raise NotFound.of(Text("model", "模型"), name)
        return d.model(name)

    @app.post("/api/v1/models/{name}/versions", status_code=201)
    def register(request: Request, name: str) -> s.VersionView:
        need(request, "org:model:write")
        return d.version(4)

    def deployment(number: int, st: str) -> s.DeploymentView:
        return s.DeploymentView(id=d.ident("dep", number), model="scenic-guide", version=3, workload_id=d.ident("svc", 2), state=st,
                                ready_replicas=int(st == "ready"), created_at=d.NOW - d.DAY, ended_at=d.NOW if st == "ended" else None,
                                base_url=f"{base}/v1", tokens=s.TokenTotals(input=120_488, cached_input=31_002, output=48_211, calls=1204))

    state.deployments = {d.ident("dep", 1): deployment(1, "ready"), d.ident("dep", 2): deployment(2, "ended")}

    @app.get("/api/v1/deployments")
    def deployments(request: Request) -> Any:
        need(request, "org:model:read")
        return page(list(state.deployments.values()))

    @app.post("/api/v1/deployments", status_code=201)
    def deploy(request: Request) -> s.DeploymentView:
        need(request, "org:model:write")
        made = deployment(3, "starting")
        state.deployments = {made.id: made, **state.deployments}
        return made

    @app.post("/api/v1/deployments/{deployment_id}/stop")
    def stop(request: Request, deployment_id: str) -> s.DeploymentView:
        need(request, "org:model:write")
        ended = state.deployments[deployment_id].model_copy(update={"state": "ended", "ended_at": d.NOW, "ready_replicas": 0})
        state.deployments[deployment_id] = ended
        return ended

    @app.post("/api/v1/keys", status_code=201)
    def keys(request: Request) -> s.KeyMade:
        need(request, "self:account:write")
        return s.KeyMade(id=d.ident("key", 1), secret="zsk_chat" + "0" * 33)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer zsk_chat" + "0" * 33:
            return JSONResponse({"error": {"message": "This API key is not valid.", "code": "invalid_api_key"}}, 401)

        async def pieces() -> AsyncIterator[bytes]:
            for text in ("最适合", "四月到五月", f"，{d.HOSTILE}"):
                yield b"data: " + orjson.dumps({"choices": [{"delta": {"content": text}}]}) + b"\n\n"
            yield b'data: {"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":9}}\n\ndata: [DONE]\n\n'

        return StreamingResponse(pieces(), media_type="text/event-stream")

    @app.get("/api/v1/wallet")
    def wallet(request: Request) -> s.WalletView:
        need(request, "org:wallet:read")
        return d.wallet()

    @app.post("/api/v1/orders", status_code=201)
    def orders(request: Request) -> s.OrderView:
        need(request, "org:wallet:write")
        return s.OrderView(id=d.ident("ord", 1), product="pack-10", quantity=1, amount_ucny=70_000_000, quantity_udu=10_000_000, at=d.NOW)

    @app.get("/api/v1/catalog")
    def catalog() -> Any:
        return d.catalog()

    @app.get("/api/v1/bill")
    def bill(request: Request, month: str | None = None) -> Any:
        person = need(request, "org:bill:read")
        made = d.bill(month or "2026-08")
        if person == "new":
            empty = dict.fromkeys(made.by_purse, made.by_purse["arrears"])
            made = made.model_copy(update={"by_purse": empty, "by_workload": [], "invoices": [], "quantity_udu": 0, "cash_ucny": 0})
        return made

    @app.get("/api/v1/bill/checks")
    def bill_checks(request: Request) -> s.Checks:
        need(request, "org:bill:read")
        return d.checks()

    @app.get("/api/v1/checks")
    def checks(request: Request) -> s.Checks:
        need(request, "platform:bill:read")
        return d.checks(ok=False)

    @app.get("/api/v1/charges")
    def charges(request: Request, lease_id: str | None = None, invoice_line_id: str | None = None, cursor: str | None = None) -> Any:
        need(request, "org:bill:read", "platform:bill:read")
        if invoice_line_id == d.ident("inl", 4):
            return page([])
        start = int(cursor or 0)
        return page([d.charge(n) for n in range(start, start + 30)], "30" if start == 0 and invoice_line_id else None)

    @app.get("/api/v1/invoices")
    def invoices(request: Request) -> Any:
        need(request, "org:bill:read", "platform:bill:read")
        return page([d.invoice(n) for n in (3, 2, 1)])

    @app.get("/api/v1/invoices/{invoice_id}")
    def invoice(request: Request, invoice_id: str) -> s.InvoiceDetail:
        need(request, "org:bill:read", "platform:bill:read")
        if invoice_id not in [d.ident("inv", n) for n in (1, 2, 3)]:
            raise NotFound.of(Text("invoice", "账单"), invoice_id)
        return d.invoice_detail()

    @app.get("/api/v1/settlements")
    def settlements(request: Request) -> Any:
        need(request, "platform:settlement:read")
        shares = [{"party": d.ident("org", 3), "role": "provider", "value_ucny": 63_371_110, "amount_fen": 6337},
                  {"party": "platform", "role": "platform", "value_ucny": 7_041_235, "amount_fen": 704}]
        return page([s.SettlementView(id=d.ident("stl", 1), invoice_id=d.ident("inv", 1), at=d.NOW, value_ucny=70_412_345, total_fen=7041, shares=shares)])

    @app.get("/api/v1/organisations")
    def organisations(request: Request) -> Any:
        need(request, "platform:org:read")
        return page([s.OrganisationView(id=d.ident("org", n), kind=k, name=name, created_at=d.NOW - n * d.DAY)
                     for n, (k, name) in enumerate([("city", d.ORG["city"][0]), ("tenant", d.ORG["tenant"][0]), ("tenant", d.HOSTILE), ("provider", d.ORG["provider"][0]), ("operator", d.ORG["operator"][0])])])

    @app.post("/api/v1/organisations/{org_id}/top-ups", status_code=201)
    async def top_up(request: Request, org_id: str) -> s.TopUpView:
        need(request, "platform:payment:write")
        body = await request.json()
        return s.TopUpView(id=d.ident("top", 1), org_id=org_id, amount_ucny=int(body["amount_yuan"].split(".")[0]) * 10**6, channel=body["channel"], reference=body["reference"], at=d.NOW)

    @app.post("/api/v1/organisations/{org_id}/invoices", status_code=201)
    def issue(request: Request, org_id: str) -> Any:
        need(request, "platform:bill:close")
        return {"items": [d.invoice(4).model_dump(mode="json")] if org_id == d.ident("org", 1) else []}

    @app.post("/api/v1/invoices/{invoice_id}/settlement", status_code=201)
    def settle(request: Request, invoice_id: str) -> s.SettlementView:
        need(request, "platform:settlement:write")
        return s.SettlementView(id=d.ident("stl", 2), invoice_id=invoice_id, at=d.NOW, value_ucny=1, total_fen=0, shares=[])

    @app.post("/api/v1/providers/{provider_id}/payouts", status_code=201)
    async def payout(request: Request, provider_id: str) -> Any:
        need(request, "platform:settlement:write")
        body = await request.json()
        if body["amount_fen"] > 1_204_331:
            raise InvalidInput(Text("More than is owed.", "超过应付金额。"), Text("Give at most what is owed.", "请填写不超过应付的金额。"))
        return {"transaction_id": d.ident("txn", 1), "provider_id": provider_id, "at": d.NOW.isoformat(), **body}

    @app.get("/api/v1/earnings")
    def earnings(request: Request) -> Any:
        need(request, "provider:earning:read")
        items = [{"settlement_id": d.ident("stl", n), "invoice_id": d.ident("inv", n), "month": "2026-07", "at": d.NOW.isoformat(), "seconds": 86_211 + n,
                  "quantity_udu": 14_821_036, "value_ucny": 70_412_345, "fee_fen": 704, "amount_fen": 6337} for n in range(4)]
        return {"payable_fen": 1_204_331, "paid_fen": 880_000, "items": items, "next_cursor": None}

    @app.get("/api/v1/carbon")
    def carbon(request: Request, month: str | None = None) -> Any:
        need(request, "org:carbon:read", "platform:carbon:read", "city:carbon:read")
        rows = [{"lease_id": d.ident("lea", n), "workload_id": d.ident("job", n), "org_id": "", "site_id": "", "seconds": 2517 + n, "power_milliwatts": 350_000,
                 "pue": "1.28", "region": "CN-AH", "energy_uwh": 313_227_111_000, "carbon_ug": 239_274_190_000, "factor": d.FACTOR, "without_factor": None} for n in range(12)]
        return {"rows": rows, "workloads": [], "totals": {"seconds": 86_211, "it_energy_uwh": 7_120_334_556_121, "energy_uwh": 9_114_028_231_834, "carbon_ug": 6_962_206_166_398},
                "regions_without_factor": [], "method": d.METHOD, "energy_is": "modelled"}

    def site_now(number: int) -> s.SiteView:
        found = d.site(number)
        return found.model_copy(update={"state": state.site_states.get(found.id, found.state)})

    @app.get("/api/v1/sites")
    def sites(request: Request) -> Any:
        need(request, "platform:site:read", "provider:site:read")
        return page([site_now(n) for n in range(1, 6)])

    @app.post("/api/v1/sites", status_code=201)
    def create_site(request: Request) -> s.SiteInvited:
        need(request, "provider:site:write")
        return s.SiteInvited(site=site_now(4), join_token="jt_" + "0" * 40, expires_at=d.NOW + d.DAY)

    def by_id(site_id: str) -> s.SiteView:
        for n in range(1, 6):
            if d.ident("site", n) == site_id:
                return site_now(n)
        raise NotFound.of(Text("site", "站点"), site_id)

    @app.get("/api/v1/sites/{site_id}")
    def site(request: Request, site_id: str) -> s.SiteView:
        need(request, "platform:site:read", "provider:site:read")
        return by_id(site_id)

    @app.post("/api/v1/sites/{site_id}/join-tokens", status_code=201)
    def join_token(request: Request, site_id: str) -> s.TokenMade:
        need(request, "provider:site:write")
        return s.TokenMade(id=d.ident("jtk", 9), join_token="jt_" + "1" * 40, expires_at=d.NOW + d.DAY)

    @app.get("/api/v1/sites/{site_id}/join-tokens")
    def join_tokens(request: Request, site_id: str) -> Any:
        need(request, "platform:site:read", "provider:site:read")
        return page(d.site_tokens())

    @app.get("/api/v1/sites/{site_id}/evidence")
    def evidence(request: Request, site_id: str) -> Any:
        need(request, "platform:site:read", "provider:site:read")
        return d.site_evidence(site_id)

    @app.get("/api/v1/sites/{site_id}/places")
    def site_places(request: Request, site_id: str) -> Any:
        need(request, "platform:site:read", "provider:site:read")
        return page(d.site_places())

    @app.get("/api/v1/sites/{site_id}/links")
    def site_links(request: Request, site_id: str) -> Any:
        need(request, "platform:site:read", "provider:site:read")
        return page(d.site_links())
    @app.get("/api/v1/sites/{site_id}/reconciliation")
    def site_reconciliation(request: Request, site_id: str) -> Any:
        need(request, "platform:site:read", "provider:site:read")
        return d.site_reconciliation(site_id)

    @app.get("/api/v1/sites/{site_id}/earnings")
    def site_earnings(request: Request, site_id: str) -> Any:
        need(request, "platform:settlement:read", "provider:earning:read")
        return d.site_earnings(site_id)

    @app.post("/api/v1/sites/{site_id}/{action}")
    def act(request: Request, site_id: str, action: str) -> s.SiteView:
        need(request, "platform:site:write", "provider:site:write")
        after = {"verify": "open", "open": "open", "drain": "draining", "close": "closed"}
        if action in after:
            state.site_states[site_id] = after[action]
        return by_id(site_id)

    @app.get("/api/v1/trace/{ident}")
    def trace(request: Request, ident: str) -> s.Trace:
        need(request, "org:trace:read", "platform:trace:read")
        if "_" not in ident:
            raise NotFound.of(Text("traceable record", "可追溯的记录"), ident)
        return d.trace(ident)


def main() -> None:
    port = int(sys.argv[1])
    app = build_double(port)
    mount(app, api_url=f"http://127.0.0.1:{port}", storage_secret="a secret of the test double only")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
