"""A cluster joined to a running platform as a provider's site, with the agent a process of its own."""

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from slurm_cluster import UNIX_USER, SlurmCluster

from zhisuan.testing.platform import RunningPlatform


@dataclass
class JoinedSite:
    platform: RunningPlatform
    provider: str
    provider_org: str
    site_id: str
    folder: Path
    options: Path
    engine: str = "slurm"
    process: subprocess.Popen[bytes] | None = None

    def start(self, token: str | None = None) -> None:
        words = [
            sys.executable, "-m", "zhisuan.cli", "site", "join", self.platform.runtime["server_url"], "--data-dir", str(self.folder),
            "--engine", self.engine, "--engine-options", str(self.options), "--no-measure",
            *(["--token", token] if token else []),
        ]  # fmt: skip
        with (self.folder.parent / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ)
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def join_site(platform: RunningPlatform, cluster: SlurmCluster, folder: Path, **changes: Any) -> JoinedSite:
    root = cluster.shared / "site"
    root.mkdir(mode=0o711)
    chosen: dict[str, Any] = {
        "root": str(root), "slurm_conf": str(cluster.conf), "poll_seconds": 0.3, "settle_seconds": 1,
        "runtime_dir": str(cluster.shared / "run"),
        "accelerator_models": {"ascend910b": {"name": "Ascend 910B3", "memory_mib": 65536}},
    }  # fmt: skip
    chosen |= changes
    if os.geteuid() == 0:
        chosen["unix_user"] = UNIX_USER
    return join_cluster(platform, folder, "slurm", chosen)


def join_cluster(platform: RunningPlatform, folder: Path, engine: str, chosen: dict[str, Any]) -> JoinedSite:
    """A cluster of two nodes, as a new provider's site, open for work."""
    tag = uuid.uuid4().hex[:8]
    body = {
        "kind": "provider",
        "organisation": f"算力商 {tag}",
        "name": "测试",
        "email": f"{tag}@example.cn",
        "password": "correct horse battery",
    }
    made = platform.operator("POST", "/organisations", json=body)
    session = platform.call("POST", "/sessions", json={"email": body["email"], "password": body["password"]})
    invited = platform.call(
        "POST", "/sites", session["secret"], json={"name": f"{engine} 一号", "region": "CN-AH", "pue_milli": 1300}
    )
    options = folder / f"{engine}.json"
    options.write_bytes(orjson.dumps(chosen))
    site_id = invited["site"]["id"]
    joined = JoinedSite(platform, session["secret"], made["organisation_id"], site_id, folder / "agent", options, engine)
    joined.start(invited["join_token"])
    platform.wait(lambda: len(platform.operator("GET", f"/sites/{site_id}")["nodes"]) == 2, "the inventory")
    platform.operator("POST", f"/sites/{site_id}/verify")
    platform.wait(
        lambda: platform.operator("GET", f"/sites/{site_id}")["state"] in ("verified", "open"),
        "the site to be verified",
    )
    if platform.operator("GET", f"/sites/{site_id}")["state"] != "open":
        platform.operator("POST", f"/sites/{site_id}/open")
    return joined
