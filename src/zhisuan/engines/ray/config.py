"""What the operator of a site may choose about the Ray engine."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from zhisuan.engines.local.config import default_runtime_dir
from zhisuan.engines.models import AcceleratorModel
from zhisuan.engines.vendors import vendor_named

Positive = Annotated[int, Field(gt=0)]

ACCELERATOR_RESOURCES = MappingProxyType(
    {"GPU": "nvidia", "NPU": "huawei", "HPU": "intel", "TPU": "google", "neuron_cores": "aws"}
)
"""Ray's names of what it counts as accelerators (Ray documentation, "Accelerator Support") → the vendor in a lease."""


class RayEngineConfig(BaseModel):
    """All values but ``allow_unisolated`` have a working default for a cluster on the agent's own network.

    - ``address``: Ray's dashboard, as in ``ray job submit --address``. ``token``: of a cluster with
      ``RAY_AUTH_MODE=token``. ``headers``: further ones, for a gateway before the dashboard. ``ca_file``: whom to trust
      for ``https``.
    - ``connect_seconds``, ``answer_seconds``: how long the dashboard may take before the engine counts as unavailable.
    - ``python``: the command that starts the Python Ray is installed for, on every node.
    - ``jupyterlab``: whether ``jupyter-lab`` is in the ``PATH`` of Ray on all nodes; left out it is not known, and no workspace with
      JupyterLab is placed here.
    - ``allow_unisolated``: run tenants' work although Ray isolates nothing.
    - ``accelerator_resources``: Ray resource → vendor; add a cluster's own names (``{"MLU": "cambricon"}``).
    - ``accelerator_models``: by the accelerator type Ray shows, the name and memory of the card it stands for; a type that
      is left out is shown and not sold.
    - ``lost_after_seconds``: a run whose supervisor has been silent for so long, and whose job Ray has ended, is lost.
    - ``jobs_seconds``: how long one listing of Ray's jobs answers for all runs.
    - ``orphan_grace_seconds``, ``timeout_grace_seconds``, ``log_bytes_max``, ``archive_bytes_max``,
      ``archive_entries_max``, ``open_files_max``, ``runtime_dir``: as for the local engine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ray"] = "ray"
    address: str = "http://127.0.0.1:8265"
    token: SecretStr | None = None
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    ca_file: Path | None = None
    connect_seconds: Positive = 5
    answer_seconds: Positive = 30
    python: str = "python3"
    jupyterlab: bool | None = None
    allow_unisolated: bool = False
    accelerator_resources: Mapping[str, str] = Field(default_factory=lambda: dict(ACCELERATOR_RESOURCES))
    accelerator_models: Mapping[str, AcceleratorModel] = Field(default_factory=dict)
    lost_after_seconds: Positive = 20
    jobs_seconds: Positive = 1
    orphan_grace_seconds: Positive = 3600
    timeout_grace_seconds: Annotated[int, Field(ge=0)] = 10
    log_bytes_max: Positive = 64 << 20
    archive_bytes_max: Positive = 32 << 30
    archive_entries_max: Positive = 500_000
    open_files_max: Positive = 65_536
    runtime_dir: Path = Field(default_factory=default_runtime_dir)

    @field_validator("accelerator_resources")
    @classmethod
    def _vendors_are_known(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        return {resource: vendor_named(vendor) for resource, vendor in value.items()}

    @field_validator("address")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError(f"address must begin with http:// or https://, not {value!r}; ray:// is another protocol")
        return value.rstrip("/")

    @field_validator("runtime_dir")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError(f"runtime_dir must be an absolute path, not {value}")
        return value
