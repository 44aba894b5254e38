"""What the operator of a site may choose about the Slurm engine."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from zhisuan.engines.local.config import default_runtime_dir
from zhisuan.engines.models import AcceleratorModel

_OWN_OPTIONS = (
    "array", "chdir", "comment", "cpus-per-task", "error", "export", "gid", "gres", "input", "job-name", "mem", "no-requeue",
    "nodelist", "nodes", "ntasks", "ntasks-per-node", "output", "parsable", "requeue", "time", "uid", "wait", "wrap",
)  # fmt: skip
_OPTION = re.compile(r"--(?P<name>[a-z][a-z-]*)(=.*)?", re.DOTALL)
Seconds = Annotated[float, Field(gt=0, le=3600)]


class SlurmEngineConfig(BaseModel):
    """All values have a working default; ``docs/howto/site-slurm.md`` shows how to choose them.

    - ``root``: the engine's folder, on a file system that this host and all nodes share under one path. Without it,
      a folder below the agent's data, which serves only where agent and nodes see the same one.
    - ``partition``, ``account``, ``qos``, ``options``: how jobs are submitted; ``options`` are further sbatch options,
      written ``--name=value``. ``slurm_conf``: the file that all Slurm commands follow.
    - ``unix_user``: whose jobs they are. An agent that is root must name one: tenants' work never runs as root.
    - ``allow_unisolated``: run the work of trusted tenants without bubblewrap on the nodes.
    - ``readable``: folders of the nodes shown read-only at their own path (compilers, Python, site software).
    - ``jupyterlab``: whether ``jupyter-lab`` is on the nodes, in ``readable`` or in the system's folders. Left out, it counts as there
      when this host has it in these folders, and else as not known; then no workspace with JupyterLab is placed here.
    - ``network``: ``host`` gives the work the node's network; ``none`` loopback only, and then neither several nodes nor
      a service are possible.
    - ``accelerator_models``: by GRES type, the name and memory of the card it stands for; a type that is left out is shown
      and not sold.
    - ``accelerator_gres``: the GRES that are accelerators. ``device_globs``: the device files that a run with
      accelerators sees; which of them it may open is for Slurm to enforce (``ConstrainDevices``).
    - ``command_timeout_seconds``: how long one Slurm command may take. ``poll_seconds``: how old an answer of
      ``squeue`` may be. ``settle_seconds``: how long the shared file system may take to show what a node wrote,
      before a job that has ended without a record counts as lost.
    - The rest are limits and graces as those of the local engine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["slurm"] = "slurm"
    root: Path | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    slurm_conf: Path | None = None
    options: tuple[str, ...] = ()
    unix_user: str | None = None
    allow_unisolated: bool = False
    readable: tuple[Path, ...] = (Path("/opt"),)
    jupyterlab: bool | None = None
    network: Literal["host", "none"] = "host"
    accelerator_gres: tuple[str, ...] = ("gpu", "npu", "mlu", "dcu", "gcu", "xpu")
    accelerator_models: Mapping[str, AcceleratorModel] = Field(default_factory=dict)
    device_globs: tuple[str, ...] = (
        "/dev/nvidia*", "/dev/davinci*", "/dev/devmm_svm", "/dev/hisi_hdc", "/dev/cambricon*", "/dev/kfd", "/dev/mkfd",
        "/dev/dri", "/dev/mtgpu*", "/dev/iluvatar*", "/dev/gcu*", "/dev/xpu*", "/dev/infiniband",
    )  # fmt: skip
    command_timeout_seconds: Seconds = 20
    poll_seconds: Seconds = 1
    settle_seconds: Seconds = 10
    orphan_grace_seconds: int = Field(3600, ge=1)
    timeout_grace_seconds: int = Field(10, ge=0)
    log_bytes_max: int = Field(64 << 20, ge=1)
    archive_bytes_max: int = Field(32 << 30, ge=1)
    archive_entries_max: int = Field(500_000, ge=1)
    pids_max: int = Field(4096, ge=16)
    runtime_dir: Path = Field(default_factory=default_runtime_dir)

    @field_validator("options")
    @classmethod
    def _options_are_the_operators(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            found = _OPTION.fullmatch(option)
            if found is None:
                raise ValueError(f"write the sbatch option {option!r} as --name or --name=value")
            if found["name"] in _OWN_OPTIONS:
                raise ValueError(f"the engine itself sets the sbatch option --{found['name']}; leave it out")
        return options

    @field_validator("root", "slurm_conf", "runtime_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError(f"{path} must be an absolute path")
        return path

    @field_validator("device_globs")
    @classmethod
    def _below_dev(cls, globs: tuple[str, ...]) -> tuple[str, ...]:
        for text in globs:
            if not re.fullmatch(r"/dev/[A-Za-z0-9_*?./-]+", text) or ".." in text:
                raise ValueError(f"{text!r} does not name device files below /dev")
        return globs
