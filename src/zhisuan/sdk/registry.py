"""Models: register what a job left, serve it, stop serving it."""

from collections.abc import Iterator

from zhisuan.sdk.transport import Transport
from zhisuan.sdk.types.registry import Deployment, Model, ModelDetail, ModelVersion


class Registry(Transport):
    def models(self) -> Iterator[Model]:
        return self._pages(Model, "models")

    def model(self, name: str) -> ModelDetail:
        return self._get(ModelDetail, "models", name)

    def register_model(
        self,
        name: str,
        workload_id: str,
        *,
        path: str = "model",
        evaluation_path: str | None = None,
        description: str | None = None,
        idempotency_key: str | None = None,
    ) -> ModelVersion:
        """Make a new version of ``name`` from the artefacts of a workload below ``path``."""
        body = {"workload_id": workload_id, "path": path}
        if evaluation_path is not None:
            body["evaluation_path"] = evaluation_path
        if description is not None:
            body["description"] = description
        return self._post(ModelVersion, "models", name, "versions", json=body, idempotency_key=idempotency_key)

    def deploy(
        self,
        model: str,
        *,
        version: int | None = None,
        cpus: int | None = None,
        memory_gib: int | None = None,
        project: str | None = None,
        idempotency_key: str | None = None,
    ) -> Deployment:
        """Serve a version, the newest when none is named."""
        given = {"model": model, "version": version, "cpus": cpus, "memory_gib": memory_gib, "project": project}
        body = {name: value for name, value in given.items() if value is not None}
        return self._post(Deployment, "deployments", json=body, idempotency_key=idempotency_key)

    def deployments(self) -> Iterator[Deployment]:
        return self._pages(Deployment, "deployments")

    def deployment(self, deployment_id: str) -> Deployment:
        return self._get(Deployment, "deployments", deployment_id)

    def stop_deployment(self, deployment_id: str) -> Deployment:
        return self._post(Deployment, "deployments", deployment_id, "stop")
