"""A Slurm site whose controller is away for a while, with a whole platform around it: work goes on and is paid to the second, what is
ordered meanwhile waits and is carried out once, and the provider reads what is the matter."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import SlurmCluster, needs_bwrap, needs_slurm, slurm_cluster
from slurm_site import JoinedSite, join_site
from test_slurm_controller import SAVED_SECONDS, stop_controller

from zhisuan.testing.platform import RunningPlatform

pytestmark = [needs_slurm, needs_bwrap, pytest.mark.slow, pytest.mark.timeout(600)]
JOB = "name: {name}\nresources: {{cpus: 1, memory: 0.5}}\nrun: |\n  {run}\n"


@pytest.fixture
def cluster() -> Iterator[SlurmCluster]:
    with slurm_cluster(ACCT="none") as cluster:
        yield cluster


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, cluster: SlurmCluster) -> Iterator[JoinedSite]:
    folder: Path = tmp_path_factory.mktemp("slurm-away")
    folder.chmod(0o755)
    platform = RunningPlatform(folder / "data", own_site=False)
    platform.start()
    joined = join_site(platform, cluster, folder, command_timeout_seconds=5)
    try:
        yield joined
    finally:
        joined.stop()
        platform.stop()


class Jobs:
    def __init__(self, site: JoinedSite) -> None:
        self.site = site
        _, self.key = site.platform.new_tenant("200.00")

    def launch(self, name: str, run: str) -> str:
        file = JOB.format(name=name, run=run)
        return str(self.site.platform.call("POST", "/workloads", self.key, json={"file": file})["workload"]["id"])

    def get(self, job: str) -> Any:
        return self.site.platform.call("GET", f"/workloads/{job}", self.key)

    def wait(self, job: str, state: str, seconds: float = 120) -> Any:
        return self.site.platform.wait(lambda: (w := self.get(job))["state"] == state and w, f"{job} to be {state}", seconds)

    def output(self, job: str) -> list[str]:
        return list(self.site.platform.call("GET", f"/workloads/{job}/logs?limit=100000", self.key)["text"].splitlines())


def problems(site: JoinedSite) -> list[str]:
    """As the provider reads them."""
    shown = subprocess.run(
        [sys.executable, "-m", "zhisuan.cli", "site", "show", site.site_id], capture_output=True, text=True, check=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", "ZHISUAN_URL": site.platform.runtime["server_url"], "ZHISUAN_API_KEY": site.provider, "ZHISUAN_LANG": "en", "COLUMNS": "400"},
    )  # fmt: skip
    return [line for line in shown.stdout.splitlines() if line.lstrip().startswith("!") and "does not answer" in line]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_controller_that_is_away(site: JoinedSite, cluster: SlurmCluster, how: int) -> None:
    jobs = Jobs(site)
    begins = "echo $(date +%s) begin; for i in $(seq {n}); do sleep 0.5; done; echo $(date +%s) end"
    long, short = jobs.launch("long", begins.format(n=200)), jobs.launch("short", begins.format(n=24))
    for job in (long, short):
        jobs.wait(job, "running")
    time.sleep(SAVED_SECONDS)
    stop_controller(cluster, how)
    try:
        site.platform.wait(lambda: problems(site), "the provider to hear of it", 60)
        late = jobs.launch("late", begins.format(n=4))
        jobs.wait(short, "succeeded")
        assert jobs.get(long)["state"] == "running"
        site.kill()
        site.start()
        site.platform.wait(lambda: "cluster" in str(jobs.get(late)), "the tenant to read what it waits for", 90)
        assert jobs.get(long)["state"] == "running", "it is too short for this machine: the test shows nothing"
    finally:
        cluster.start_controller()
    for job in (late, long):
        assert jobs.wait(job, "succeeded")["attempts"] == 1
    site.platform.wait(lambda: not problems(site), "the provider to hear that it is over", 60)
    for job in (long, short, late):
        paid_to_the_second(jobs, job)


def paid_to_the_second(jobs: Jobs, job: str) -> None:
    """What was metered is what the work itself wrote down."""
    (begin, _), (end, _) = (line.split() for line in jobs.output(job))
    (lease,) = jobs.get(job)["leases"]
    started, ended = (int(datetime.fromisoformat(lease[name]).timestamp()) for name in ("active_from", "active_to"))
    assert (started, lease["seconds"]) == (int(begin), ended - started) and 0 <= ended - int(end) <= 1, (lease, begin, end)
    charges = f"/charges?lease_id={lease['id']}&limit=200"
    jobs.site.platform.wait(
        lambda: sum(c["seconds"] for c in jobs.site.platform.call("GET", charges, jobs.key)["items"]) == lease["seconds"],
        f"the charges to be those of {lease['seconds']} seconds",
    )
