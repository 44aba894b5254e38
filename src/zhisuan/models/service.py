"""The registry: versions made from artefacts; and deployments, which are service workloads with a name for clients."""

import gzip
import re
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, InvalidInput, NotFound
from zhisuan.base.store import Store
from zhisuan.base.text import Text
from zhisuan.data import content
from zhisuan.models.tables import Deployment, Model, ModelVersion
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Workload

NAME = re.compile(r"^[\w][\w.-]{0,62}$")
EVALUATION_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a workload's artefacts: its path, and where its bytes are."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where a version comes from."""

    workload_id: str
    lease_id: str
    files: tuple[SourceFile, ...]


def register(
    tx: Tx,
    store: Store,
    *,
    org_id: str,
    by: str,
    name: str,
    source: Source,
    folder: str,
    evaluation_path: str | None,
    description: str | None,
) -> ModelVersion:
    """The artefact folder ``folder`` as the next version of model ``name``. Raises ``InvalidInput``, ``NotFound``."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            Text(f"{name!r} is not a model name.", f"{name!r} 不是有效的模型名称。"),
            Text(
                "Use up to 63 letters, digits, dots, hyphens or underscores.",
                "请使用最多 63 个字母、汉字、数字、点、连字符或下划线。",
            ),
        )
    prefix = folder.strip("/") + "/"
    files = tuple(f for f in source.files if f.path.startswith(prefix))
    if not files:
        there = ", ".join(sorted(f.path for f in source.files)[:10]) or "nothing"
        raise NotFound(
            Text(
                f"The workload left no files below {folder}; it left: {there}.",
                f"该工作负载在 {folder} 下没有产物；现有：{there}。",
            ),
            Text("Name the folder that holds the model.", "请填写模型所在的目录。"),
        )
    evaluation = _evaluation(store, source, evaluation_path) if evaluation_path else None
    model = _model(tx, org_id, name, description)
    sha256, size = _archive(store, files, prefix)
    content.secure(tx, store, [sha256])
    blob = workloads.add_blob(tx, org_id=org_id, sha256=sha256, size_bytes=size)
    number = tx.session.scalar(
        select(func.coalesce(func.max(ModelVersion.number), 0) + 1).where(ModelVersion.model_id == model.id)
    )
    version = ModelVersion(
        id=tx.ids.new("mdv"), model_id=model.id, org_id=org_id, number=number or 1, workload_id=source.workload_id,
        lease_id=source.lease_id, blob_id=blob.id,
        files=[{"path": f.path.removeprefix(prefix), "size_bytes": f.size_bytes, "sha256": f.sha256} for f in files],
        evaluation=evaluation, created_by=by, created_at=tx.now,
    )  # fmt: skip
    tx.session.add(version)
    tx.session.flush()
    tx.emit("model.version", version.id, {"model": name, "number": version.number, "workload_id": source.workload_id})
    return version


def _model(tx: Tx, org_id: str, name: str, description: str | None) -> Model:
    """The model of that name, made if new, and locked so that version numbers follow one another."""
    query = select(Model).where(Model.org_id == org_id, Model.name == name).with_for_update()
    found = tx.session.scalar(query)
    if found is None:
        try:
            with tx.session.begin_nested():
                tx.session.add(
                    Model(
                        id=tx.ids.new("mdl"), org_id=org_id, name=name, description=description or "", created_at=tx.now
                    )
                )
                tx.session.flush()
        except IntegrityError:
            tx.session.expire_all()
        found = tx.session.scalars(query).one()
    if description:
        found.description = description
    return found


def _evaluation(store: Store, source: Source, path: str) -> dict[str, Any]:
    found = next((f for f in source.files if f.path == path), None)
    if found is None or found.size_bytes > EVALUATION_BYTES_MAX:
        raise NotFound(
            Text(
                f"The workload left no evaluation at {path} (or one over 1 MiB).",
                f"该工作负载没有在 {path} 留下评测结果（或超过 1 MiB）。",
            ),
            Text("Name the JSON file that the evaluation wrote, or none.", "请填写评测写出的 JSON 文件，或不填。"),
        )
    with store.open(found.sha256) as file:
        try:
            data = orjson.loads(file.read())
        except orjson.JSONDecodeError as error:
            raise InvalidInput(
                Text(f"{path} is not JSON.", f"{path} 不是 JSON。"),
                Text("An evaluation is one JSON object.", "评测结果应为一个 JSON 对象。"),
            ) from error
    if not isinstance(data, dict):
        raise InvalidInput(
            Text(f"{path} is not a JSON object.", f"{path} 不是 JSON 对象。"),
            Text("An evaluation is one JSON object.", "评测结果应为一个 JSON 对象。"),
        )
    return data


def _archive(store: Store, files: tuple[SourceFile, ...], prefix: str) -> tuple[str, int]:
    """One archive of the files, the same bytes for the same files, in the store; its digest and size."""
    with tempfile.NamedTemporaryFile(prefix="zhisuan-model-") as file:
        with (
            gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=1) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for each in sorted(files, key=lambda f: f.path):
                entry = tarfile.TarInfo(each.path.removeprefix(prefix))
                entry.size, entry.mode = each.size_bytes, 0o644
                with store.open(each.sha256) as source:
                    archive.addfile(entry, source)
        file.flush()
        return store.keep_file(Path(file.name))


def model_named(tx: Tx, org_id: str, name: str) -> Model:
    found = tx.session.scalar(select(Model).where(Model.org_id == org_id, Model.name == name))
    if found is None:
        raise NotFound.of(Text("model", "模型"), name)
    return found


def version_of(tx: Tx, model: Model, number: int | None) -> ModelVersion:
    """That version, or the latest for None."""
    query = select(ModelVersion).where(ModelVersion.model_id == model.id).order_by(ModelVersion.number.desc()).limit(1)
    if number is not None:
        query = query.where(ModelVersion.number == number)
    found = tx.session.scalar(query)
    if found is None:
        raise NotFound.of(Text("version of this model", "该模型的版本"), str(number or ""))
    return found


def deploy(tx: Tx, *, model: Model, version: ModelVersion, workload_id: str, project_id: str, by: str) -> Deployment:
    """Serve a version by ``workload_id``. Raises ``Conflict`` while the model is being served already."""
    deployment = Deployment(
        id=tx.ids.new("dep"), org_id=model.org_id, project_id=project_id, model_id=model.id, version_id=version.id,
        workload_id=workload_id, created_by=by, created_at=tx.now, ended_at=None,
    )  # fmt: skip
    try:
        with tx.session.begin_nested():
            tx.session.add(deployment)
            tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            Text(f"The model {model.name} is being served already.", f"模型 {model.name} 已在服务中。"),
            Text(
                "Stop that deployment first: `zhisuan models stop DEPLOYMENT`.",
                "请先停止现有部署：zhisuan models stop <部署编号>。",
            ),
            code="already_deployed",
        ) from error
    tx.emit("deployment.created", deployment.id, {"model": model.name, "version": version.number})
    return deployment


def deployment_visible(tx: Tx, deployment_id: str, org_id: str) -> Deployment:
    found = tx.session.get(Deployment, deployment_id, with_for_update=True)
    if found is None or found.org_id != org_id:
        raise NotFound.of(Text("deployment", "部署"), deployment_id)
    return found


def end_deployment(tx: Tx, deployment: Deployment) -> None:
    if deployment.ended_at is None:
        deployment.ended_at = tx.now
        tx.emit("deployment.ended", deployment.id)


def end_finished_deployments(tx: Tx) -> int:
    """Close deployments whose workload has ended; how many."""
    done = tx.session.scalars(
        select(Deployment)
        .join(Workload, Workload.id == Deployment.workload_id)
        .where(Deployment.ended_at.is_(None), Workload.state.in_(workloads.FINAL_STATES))
        .with_for_update(of=Deployment, skip_locked=True)
    ).all()
    for deployment in done:
        end_deployment(tx, deployment)
    return len(done)


def live_deployments(tx: Tx) -> list[tuple[Deployment, Model, ModelVersion]]:
    rows = tx.session.execute(
        select(Deployment, Model, ModelVersion)
        .join(Model, Model.id == Deployment.model_id)
        .join(ModelVersion, ModelVersion.id == Deployment.version_id)
        .where(Deployment.ended_at.is_(None))
        .order_by(Deployment.id)
    ).all()
    return [(d, m, v) for d, m, v in rows]
