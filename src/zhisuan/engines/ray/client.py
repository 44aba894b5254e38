"""Ray's REST interface, as far as the engine uses it: jobs (``/api/jobs/``), version, nodes (state API).

Source: the job submission REST reference of Ray's documentation, and the dashboard of Ray 2.60. Whatever else the
dashboard answers, or when it does not, is EngineUnavailable: nothing is then known of the cluster.
"""

import json
import ssl
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from zhisuan.engines.errors import EngineUnavailable, StartRefused
from zhisuan.engines.ray.config import RayEngineConfig

_NODES_MAX = 10_000
"""The most that the state API gives (``RAY_MAX_LIMIT_FROM_API_SERVER``); its default is 100."""
TERMINAL = ("SUCCEEDED", "FAILED", "STOPPED")

T = TypeVar("T")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RayVersion(_Answer):
    ray_version: str


class RayJob(_Answer):
    """One submitted job. Times in milliseconds since 1970; ``start_time`` is when it was submitted."""

    submission_id: str | None = None
    status: str
    message: str | None = None
    error_type: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    driver_exit_code: int | None = None

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL


class RayNode(_Answer):
    """One node of the state API; ``state`` is ``ALIVE`` or ``DEAD``."""

    node_id: str
    node_ip: str
    node_name: str = ""
    state: str
    state_message: str | None = None
    resources_total: Mapping[str, float] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)


class _Rows(_Answer):
    result: Annotated[list[RayNode], Field(max_length=_NODES_MAX)]


class _Data(_Answer):
    result: _Rows


class _StateAnswer(_Answer):
    result: bool
    msg: str = ""
    data: _Data | None = None


class Deletion(Enum):
    """``unknown``: Ray knows no such job; ``not_ended``: it deletes only what has ended."""

    done = "done"
    unknown = "unknown"
    not_ended = "not_ended"


class JobOrder(BaseModel):
    """What is posted to ``/api/jobs/``. The resources are those of the entrypoint, which Ray places by them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    submission_id: str
    entrypoint: str
    metadata: Mapping[str, str]
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: Mapping[str, float] | None = None


class RayClient:
    def __init__(self, config: RayEngineConfig) -> None:
        headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        if config.token is not None:
            headers["Authorization"] = f"Bearer {config.token.get_secret_value()}"
        verify: ssl.SSLContext | bool = True
        if config.ca_file is not None:
            verify = ssl.create_default_context(cafile=str(config.ca_file))
        self._address = config.address
        self._http = httpx.Client(
            base_url=config.address,
            headers=headers,
            timeout=httpx.Timeout(config.answer_seconds, connect=config.connect_seconds),
            limits=httpx.Limits(max_keepalive_connections=0),
            verify=verify,
            trust_env=False,
        )

    def version(self) -> str:
        return self._read(self._ask("GET", "/api/version"), RayVersion).ray_version

    def nodes(self) -> list[RayNode]:
        answer = self._ask("GET", f"/api/v0/nodes?detail=1&limit={_NODES_MAX}")
        told = self._read(answer, _StateAnswer)
        if not told.result or told.data is None:
            raise self._unavailable(f"it could not list its nodes: {told.msg}")
        return told.data.result.result

    def jobs(self) -> dict[str, RayJob]:
        """All submitted jobs that Ray still knows, by submission id."""
        found = self._read(self._ask("GET", "/api/jobs/"), list[RayJob])
        return {job.submission_id: job for job in found if job.submission_id is not None}

    def job(self, submission_id: str) -> RayJob | None:
        answer = self._ask("GET", f"/api/jobs/{submission_id}", allowed=(200, 404))
        return self._read(answer, RayJob) if answer.status_code == 200 else None

    def submit(self, order: JobOrder) -> None:
        """Once per submission id: a second time changes nothing. Raises StartRefused when Ray refuses the order itself."""
        answer = self._ask("POST", "/api/jobs/", order.model_dump(exclude_none=True), allowed=(200, 400, 500))
        if answer.status_code == 200:
            return
        if answer.status_code == 400:
            raise StartRefused(f"Ray refused the job: {_last_line(answer.text)}")
        if self.job(order.submission_id) is None:
            raise self._unavailable(f"it could not take the job: {_last_line(answer.text)}")

    def stop(self, submission_id: str) -> None:
        self._ask("POST", f"/api/jobs/{submission_id}/stop", allowed=(200, 404))

    def delete(self, submission_id: str) -> Deletion:
        answer = self._ask("DELETE", f"/api/jobs/{submission_id}", allowed=(200, 404, 500))
        return {200: Deletion.done, 404: Deletion.unknown}.get(answer.status_code, Deletion.not_ended)

    def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None = None, allowed: tuple[int, ...] = (200,)
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise self._unavailable(str(error) or type(error).__name__) from error
        if answer.status_code in (401, 403):
            raise self._unavailable(f"it refused us ({answer.status_code}); set the token of the Ray cluster")
        if answer.status_code not in allowed:
            raise self._unavailable(f"{method} {path} answered {answer.status_code}: {_last_line(answer.text)}")
        return answer

    def _read(self, answer: httpx.Response, kind: type[T]) -> T:
        try:
            return TypeAdapter(kind).validate_python(json.loads(answer.content))
        except (ValidationError, ValueError, RecursionError) as error:
            raise self._unavailable(f"its answer is not that of a Ray dashboard: {answer.text[:120]!r}") from error

    def _unavailable(self, why: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"the Ray dashboard at {self._address} does not answer as it should: {why}; what runs there goes on. "
            "See that the head node is up and that address and token are right"
        )


def _last_line(text: str) -> str:
    """Ray answers errors with a traceback; its last line says what is the matter."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" .")]
    return lines[-1][:500] if lines else "no reason given"
