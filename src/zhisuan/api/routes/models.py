"""The model registry and deployments."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from zhisuan.api import serving
from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import Body, DeploymentView, ModelDetail, ModelView, PageOf, VersionView
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict
from zhisuan.base.text import Text
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Artefact
from zhisuan.models import service as models
from zhisuan.models.tables import Deployment, Model, ModelVersion
from zhisuan.tenancy import service as tenancy
from zhisuan.workload import service as workloads

router = APIRouter(tags=["models"])
Reader = Annotated[Caller, Depends(Allow("org:model:read"))]
Writer = Annotated[Caller, Depends(Allow("org:model:write"))]


class NewVersion(Body):
    workload_id: str
    path: str = Field(default="model", min_length=1, max_length=200)
    evaluation_path: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=1000)


class NewDeployment(Body):
    model: str
    version: int | None = None
    cpus: int = Field(default=1, ge=1, le=1024)
    memory_gib: int = Field(default=2, ge=1, le=16_384)
    project: str | None = None


def model_views(tx: Tx, found: list[Model]) -> list[ModelView]:
    ids = [m.id for m in found]
    latest = {
        v.model_id: v
        for v in tx.session.scalars(
            select(ModelVersion)
            .where(ModelVersion.model_id.in_(ids))
            .order_by(ModelVersion.model_id, ModelVersion.number.desc())
            .ext(distinct_on(ModelVersion.model_id))
        )
    }
    live = set(
        tx.session.scalars(
            select(Deployment.model_id).where(Deployment.model_id.in_(ids), Deployment.ended_at.is_(None))
        )
    )
    return [
        ModelView(
            id=m.id, name=m.name, description=m.description, created_at=m.created_at,
            latest=VersionView.model_validate(latest[m.id]) if m.id in latest else None, deployed=m.id in live,
        )
        for m in found
    ]  # fmt: skip


@router.get("/models")
def list_models(request: Request, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> PageOf[ModelView]:
    with platform_of(request).database.begin() as tx:
        rows = paged(tx, select(Model).where(Model.org_id == caller.org_scope), Model.id, lambda m: m, limit, cursor)
        return PageOf[ModelView](items=model_views(tx, rows.items), next_cursor=rows.next_cursor)


@router.get("/models/{name}")
def model(request: Request, name: str, caller: Reader) -> ModelDetail:
    with platform_of(request).database.begin() as tx:
        found = models.model_named(tx, caller.principal.org_id, name)
        versions = tx.session.scalars(
            select(ModelVersion).where(ModelVersion.model_id == found.id).order_by(ModelVersion.number.desc())
        ).all()
        return ModelDetail(
            **model_views(tx, [found])[0].model_dump(), versions=[VersionView.model_validate(v) for v in versions]
        )


@router.post("/models/{name}/versions", status_code=201, response_model=VersionView)
def register(request: Request, name: str, body: NewVersion, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Make the artefacts of a finished workload the next version of a model."""
    who = caller.principal
    here = platform_of(request)

    def work(tx: Tx) -> VersionView:
        workload = workloads.visible(tx, body.workload_id, who.org_id)
        if workload.state != "succeeded":
            raise Conflict(
                Text(
                    f"The workload has not succeeded ({workload.state}).",
                    f"该工作负载尚未成功结束（{workload.state}）。",
                ),
                Text("Register a model from a job that succeeded.", "请从已成功结束的作业登记模型。"),
            )
        lease = execution.leases_of(tx, workload.id)[-1]
        files = tx.session.scalars(select(Artefact).where(Artefact.lease_id == lease.id)).all()
        source = models.Source(
            workload.id, lease.id, tuple(models.SourceFile(f.path, f.sha256, f.size_bytes) for f in files)
        )
        made = models.register(
            tx, here.store, org_id=who.org_id, by=who.user_id, name=name, source=source, folder=body.path,
            evaluation_path=body.evaluation_path, description=body.description,
        )  # fmt: skip
        return VersionView.model_validate(made)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


@router.post("/deployments", status_code=201, response_model=DeploymentView)
def deploy(request: Request, body: NewDeployment, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Serve a version of a model under its name at the gateway."""
    who = caller.principal
    here = platform_of(request)

    def work(tx: Tx) -> DeploymentView:
        found = models.model_named(tx, who.org_id, body.model)
        version = models.version_of(tx, found, body.version)
        project = tenancy.project_named(tx, who.org_id, body.project or who.project_id)
        made, _ = serving.deploy(
            tx, model=found, version=version, size=serving.Size(body.cpus * 1000, body.memory_gib * 1024),
            org_id=who.org_id, project_id=project.id, by=who.user_id, ttl=here.site_ttl,
        )  # fmt: skip
        return serving.deployment_views(tx, [made], here.gateway_url)[0]

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


@router.get("/deployments")
def deployments(request: Request, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> PageOf[DeploymentView]:
    here = platform_of(request)
    with here.database.begin() as tx:
        query = select(Deployment).where(Deployment.org_id == caller.org_scope)
        rows = paged(tx, query, Deployment.id, lambda d: d, limit, cursor)
        items = serving.deployment_views(tx, rows.items, here.gateway_url)
        return PageOf[DeploymentView](items=items, next_cursor=rows.next_cursor)


@router.get("/deployments/{deployment_id}")
def deployment(request: Request, deployment_id: str, caller: Reader) -> DeploymentView:
    here = platform_of(request)
    with here.database.begin() as tx:
        found = models.deployment_visible(tx, deployment_id, caller.principal.org_id)
        return serving.deployment_views(tx, [found], here.gateway_url)[0]


@router.post("/deployments/{deployment_id}/stop", response_model=DeploymentView)
def stop(request: Request, deployment_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """End a deployment; its service is stopped and its devices given back."""
    who = caller.principal
    here = platform_of(request)

    def work(tx: Tx) -> DeploymentView:
        found = models.deployment_visible(tx, deployment_id, who.org_id)
        workload = workloads.visible(tx, found.workload_id, who.org_id, lock=True)
        if workload.state in workloads.OPEN_STATES:
            execution.cancel(tx, workload, "deployment stopped")
        models.end_deployment(tx, found)
        tx.notify(execution.ROUTES_CHANNEL)
        return serving.deployment_views(tx, [found], here.gateway_url)[0]

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body={}, work=work)
