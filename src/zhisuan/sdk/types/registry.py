"""Models, their versions and their deployments."""

from typing import Any

from pydantic import AwareDatetime

from zhisuan.sdk.types.common import Answer, TokenCounts


class ModelFile(Answer):
    path: str
    size_bytes: int
    sha256: str


class ModelVersion(Answer):
    """``evaluation`` is the document that the evaluating job left, as it left it."""

    id: str | None = None
    number: int
    created_at: AwareDatetime | None = None
    workload_id: str | None = None
    files: tuple[ModelFile, ...] = ()
    evaluation: Any = None
    created_by: str | None = None


class Model(Answer):
    id: str
    name: str
    description: str | None = None
    created_at: AwareDatetime | None = None
    latest: ModelVersion | None = None
    deployed: bool = False


class ModelDetail(Model):
    versions: tuple[ModelVersion, ...] = ()


class Deployment(Answer):
    """One version of a model being served; ``base_url`` is what an OpenAI client takes."""

    id: str
    model: str
    version: int | str
    workload_id: str | None = None
    state: str
    ready_replicas: int = 0
    created_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    base_url: str | None = None
    tokens: TokenCounts = TokenCounts()
