"""Deployments as workloads, and what the gateway is told of them."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from zhisuan.api import launching
from zhisuan.api.schemas import DeploymentView, TokenTotals
from zhisuan.base.db import Tx
from zhisuan.execution.placing import Placed
from zhisuan.execution.tables import Lease
from zhisuan.models import service as models
from zhisuan.models.tables import Deployment, Model, ModelVersion
from zhisuan.usage.tables import TokenEvent
from zhisuan.wire.gateway import Replica, Route
from zhisuan.workload.spec import ServiceSpec, WorkloadSpec
from zhisuan.workload.tables import Workload

PORT = 8080
SERVING_STATES = ("accepted", "active")


@dataclass(frozen=True, slots=True)
class Size:
    cpus_milli: int
    memory_mib: int


def embedded_service(model: Model, size: Size) -> WorkloadSpec:
    """The workload that serves a version by the embedded model server."""
    return WorkloadSpec(
        name=f"serve {model.name}"[:63],
        run=f"exec python -m zhisuan.models.serving --model model --name {model.name} --port {PORT}",
        setup=None,
        envs={"HF_HUB_OFFLINE": "1"},
        cpus_milli=size.cpus_milli,
        memory_mib=size.memory_mib,
        accelerators=(),
        service=ServiceSpec(port=PORT, readiness_path="/health"),
        workdir=None,
        file_mounts={},
        artefacts=(),
        max_seconds=None,
        restarts=10,
    )


def deploy(
    tx: Tx, *, model: Model, version: ModelVersion, size: Size, org_id: str, project_id: str, by: str, ttl: timedelta
) -> tuple[Deployment, Placed]:
    """Launch the service of a version and record the deployment, in one transaction."""
    spec = embedded_service(model, size)
    asked = launching.Asked(
        org_id, project_id, spec, f"# made for deployment of {model.name} version {version.number}\n", by,
        mount_blobs={"model": version.blob_id},
    )  # fmt: skip
    launched = launching.launch(tx, asked, ttl)
    return models.deploy(
        tx, model=model, version=version, workload_id=launched.workload.id, project_id=project_id, by=by
    ), launched.placed


def served_routes(tx: Tx) -> tuple[Route, ...]:
    """One route for each live deployment, with its replicas."""
    live = models.live_deployments(tx)
    leases = tx.session.scalars(
        select(Lease)
        .where(
            Lease.workload_id.in_([d.workload_id for d, _, _ in live]),
            Lease.state.in_(SERVING_STATES),
            Lease.desired == "run",
        )
        .order_by(Lease.id)
    ).all()
    return tuple(
        Route(
            deployment_id=d.id, org_id=d.org_id, model=m.name, upstream_model=m.name, version=str(v.number),
            created=d.created_at,
            replicas=tuple(
                Replica(lease_id=x.id, generation=x.generation, site_id=x.site_id, ready=bool(x.ready))
                for x in leases
                if x.workload_id == d.workload_id
            ),
        )
        for d, m, v in live
    )  # fmt: skip


def deployment_views(tx: Tx, deployments: list[Deployment], gateway_url: str) -> list[DeploymentView]:
    """Deployments with their state and token totals, in a fixed number of queries."""
    ids = [d.id for d in deployments]
    workload_ids = [d.workload_id for d in deployments]
    names = dict(
        tx.session.execute(select(Model.id, Model.name).where(Model.id.in_({d.model_id for d in deployments}))).all()
    )
    numbers = dict(
        tx.session.execute(
            select(ModelVersion.id, ModelVersion.number).where(ModelVersion.id.in_({d.version_id for d in deployments}))
        ).all()
    )
    states = dict(tx.session.execute(select(Workload.id, Workload.state).where(Workload.id.in_(workload_ids))).all())
    ready = dict(
        tx.session.execute(
            select(Lease.workload_id, func.count())
            .where(Lease.workload_id.in_(workload_ids), Lease.state.in_(SERVING_STATES), Lease.ready.is_(True))
            .group_by(Lease.workload_id)
        ).all()
    )
    tokens = token_totals(tx, ids)
    return [
        DeploymentView(
            id=d.id, model=names[d.model_id], version=numbers[d.version_id], workload_id=d.workload_id,
            state=_state(d, states[d.workload_id], ready.get(d.workload_id, 0)), ready_replicas=ready.get(d.workload_id, 0),
            created_at=d.created_at, ended_at=d.ended_at, base_url=f"{gateway_url}/v1", tokens=tokens.get(d.id, TokenTotals()),
        )
        for d in deployments
    ]  # fmt: skip


def _state(deployment: Deployment, workload_state: str, ready: int) -> str:
    if workload_state == "failed":
        return "failed"
    if deployment.ended_at is not None or workload_state in ("cancelled", "succeeded"):
        return "ended"
    if ready:
        return "ready"
    return {"pending": "waiting", "placed": "starting", "starting": "starting"}.get(workload_state, "not_ready")


def token_totals(tx: Tx, deployment_ids: list[str]) -> dict[str, TokenTotals]:
    rows = tx.session.execute(
        select(
            TokenEvent.deployment_id, func.sum(TokenEvent.input_tokens), func.sum(TokenEvent.cached_input_tokens),
            func.sum(TokenEvent.output_tokens), func.count(),
        )
        .where(TokenEvent.deployment_id.in_(deployment_ids))
        .group_by(TokenEvent.deployment_id)
    ).all()  # fmt: skip
    return {
        str(i): TokenTotals(input=int(a), cached_input=int(b), output=int(c), calls=int(n)) for i, a, b, c, n in rows
    }
