"""The model registry and its deployments."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Model(Table):
    """A named line of versions within an organisation; the name is what clients ask for."""

    __tablename__ = "models_model"
    __table_args__ = (UniqueConstraint("org_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    created_at: Mapped[datetime]


class ModelVersion(Table):
    """An immutable version: its files in the artefact store, where they came from, and how well it did."""

    __tablename__ = "models_version"
    __table_args__ = (UniqueConstraint("model_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models_model.id"))
    org_id: Mapped[str]
    number: Mapped[int]
    workload_id: Mapped[str]
    lease_id: Mapped[str]
    blob_id: Mapped[str]
    files: Mapped[list[Any]]
    evaluation: Mapped[dict[str, Any] | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]


class Deployment(Table):
    """A version being served. Its replicas are the leases of one service workload."""

    __tablename__ = "models_deployment"
    __table_args__ = (
        Index(
            "uq_models_deployment_live", "org_id", "model_id", unique=True, postgresql_where=text("ended_at IS NULL")
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    project_id: Mapped[str]
    model_id: Mapped[str]
    version_id: Mapped[str]
    workload_id: Mapped[str] = mapped_column(unique=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
