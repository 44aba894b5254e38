"""Workspaces and secrets on clusters, with a whole platform around them: a shell and JupyterLab through tunnel and gateway, and secrets
that are seen by the work and nowhere else. The Slurm nodes have an address that is not loopback, as everywhere but in tests."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cluster_sites import Tenant, everything_below, lay_out_lab, same_python
from ray_cluster import needs_ray, shared_cluster
from slurm_cluster import needs_bwrap, needs_slurm, slurm_cluster
from slurm_site import JoinedSite, join_cluster, join_site

from zhisuan.sdk.terminal import Terminal
from zhisuan.testing.platform import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NODE_ADDRESS = "127.0.0.5"
WORKSPACE = "name: {kind}\nresources: {{cpus: 1, memory: 2}}\nzhisuan: {{workspace: {kind}}}\n"


@dataclass
class World:
    """A site of one cluster. ``told`` is all that the cluster shows of its jobs to whoever may ask it."""

    site: JoinedSite
    root: Path
    logs: Path
    told: Any

    @property
    def platform(self) -> RunningPlatform:
        return self.site.platform


@pytest.fixture(scope="module", params=[pytest.param("slurm", marks=[needs_slurm, needs_bwrap]), pytest.param("ray", marks=needs_ray)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp(f"cluster-{request.param}")
    folder.chmod(0o755)
    platform = RunningPlatform(folder / "data", own_site=False)
    make = slurm_world if request.param == "slurm" else ray_world
    try:
        platform.start()
        yield from make(platform, folder)
    finally:
        platform.stop()


def slurm_world(platform: RunningPlatform, folder: Path) -> Iterator[World]:
    pytest.importorskip("jupyterlab")
    if not same_python():
        pytest.skip("the system's Python is of another version than the packages of the tests")
    with slurm_cluster() as cluster:
        cluster.move_nodes(NODE_ADDRESS)
        lab = cluster.shared / "lab"
        lab.mkdir()
        lay_out_lab(lab)
        site = join_site(platform, cluster, folder, readable=["/opt", str(lab)])

        def told() -> str:
            shown = cluster.call("scontrol", "show", "job", "--details")
            numbers = cluster.call("squeue", "-h", "-a", "-t", "all", "-r", "-o", "%A").split()
            scripts = [cluster.call("scontrol", "write", "batch_script", number, "-") for number in numbers]
            return "\n".join((shown, *scripts, cluster.call("squeue", "-a", "-t", "all", "-o", "%all")))

        try:
            yield World(site, cluster.shared / "site", cluster.folder / "log", told)
        finally:
            site.stop()


def ray_world(platform: RunningPlatform, folder: Path) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        # What the nodes' own PATH holds is what work there finds.
        patch.setenv("PATH", f"{os.environ['PATH']}:{Path(sys.executable).parent}")
        with shared_cluster(folder / "cluster") as cluster:
            site = join_cluster(
                platform, folder, "ray", {"address": cluster.address, "python": cluster.python, "allow_unisolated": True, "jupyterlab": True}
            )

            def told() -> str:
                asked = ("/api/jobs/", "/api/v0/jobs?detail=1", "/api/v0/actors?detail=1", "/api/v0/tasks?detail=1", "/api/v0/runtime_envs?detail=1")
                answers = [httpx.get(cluster.address + path, timeout=30, trust_env=False) for path in asked]
                names = [job["submission_id"] for job in answers[0].json()]
                logs = [httpx.get(f"{cluster.address}/api/jobs/{name}/logs", timeout=30, trust_env=False).text for name in names]
                return "\n".join((*(answer.text for answer in answers), *logs))

            try:
                yield World(site, folder / "agent" / "engine", folder / "cluster", told)
            finally:
                site.stop()


@pytest.fixture
def tenant(world: World) -> Tenant:
    return Tenant(world.platform)


def start(tenant: Tenant, kind: str) -> str:
    ident = tenant.launch(WORKSPACE.format(kind=kind))

    def ready() -> bool:
        found = tenant.call("GET", f"/workspaces/{ident}")
        assert found["status"] != "ended" or pytest.fail(f"{found}\n{tenant.output(ident)}")
        return bool(found["status"] == "ready")

    tenant.platform.wait(ready, f"the {kind} workspace")
    return ident


def stop(tenant: Tenant, ident: str) -> None:
    tenant.call("POST", f"/workloads/{ident}/cancel")
    tenant.platform.wait(lambda: tenant.call("GET", f"/workspaces/{ident}")["status"] == "ended", "the end")


def test_a_shell_is_used_and_survives_its_agent(world: World, tenant: Tenant) -> None:
    ident = start(tenant, "shell")
    seen = [""]

    async def show(text: str) -> None:
        seen[0] += text

    async def go() -> int:
        url = f"{world.platform.runtime['gateway_url']}/workspaces/{ident}"
        terminal = Terminal(url, tenant.key, "1", show, lambda _: None)
        running = asyncio.create_task(terminal.run())

        async def until(word: str) -> None:
            async with asyncio.timeout(90):
                while word not in seen[0]:
                    assert not running.done(), (running.result(), seen[0])
                    await asyncio.sleep(0.05)

        terminal.type("echo 你好 $((40+2)) pid''=$$; echo has-''token ${ZHISUAN_WORKSPACE_TOKEN-none}\r")
        await until("你好 42")
        await until("has-token none")
        await asyncio.to_thread(world.site.kill)
        await asyncio.to_thread(world.site.start)
        terminal.type("echo same''=$$\r")
        await until("same=")
        await asyncio.sleep(1)
        terminal.type("exit 5\r")
        return await asyncio.wait_for(running, 60)

    assert asyncio.run(go()) == 5
    words = seen[0].replace("\r", " ").replace("\n", " ").split(" ")
    pid = next(word.removeprefix("pid=") for word in words if word.startswith("pid="))
    assert f"same={pid}" in words, "another shell answered"
    stop(tenant, ident)


def test_jupyterlab_answers_and_runs_a_kernel(world: World, tenant: Tenant) -> None:
    pytest.importorskip("jupyterlab")
    ident = start(tenant, "jupyter")
    address = f"{world.platform.runtime['gateway_url']}/workspaces/{ident}"
    own = {"Authorization": f"Bearer {tenant.key}"}
    with httpx.Client(trust_env=False, timeout=60) as http:
        assert http.get(f"{address}/api/status", headers=own).status_code == 200
        assert http.get(f"{address}/api/status").status_code == 401
        other = {"Authorization": f"Bearer {Tenant(world.platform).key}"}
        assert http.get(f"{address}/api/status", headers=other).status_code == 404
        assert "JupyterLab" in http.get(f"{address}/lab", headers=own).text
        kernel = http.post(f"{address}/api/kernels", headers=own, json={"name": "python3"})
        assert kernel.status_code == 201, kernel.text
    asyncio.run(run_a_cell(f"{address}/api/kernels/{kernel.json()['id']}/channels", own))
    stop(tenant, ident)


async def run_a_cell(url: str, headers: dict[str, str]) -> None:
    import aiohttp

    header = {"msg_id": uuid.uuid4().hex, "session": "s", "username": "", "version": "5.3", "msg_type": "execute_request"}
    request = {
        "header": header, "parent_header": {}, "metadata": {}, "channel": "shell",
        "content": {"code": "print('answer', 6 * 7)", "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False},
    }  # fmt: skip
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as socket, asyncio.timeout(90):
        await socket.send_json(request)
        async for message in socket:
            told = message.json()
            if told["msg_type"] == "stream":
                assert told["content"]["text"] == "answer 42\n"
                return
    pytest.fail("the kernel said nothing")


def test_secrets_reach_the_work_and_nothing_else(world: World, tenant: Tenant) -> None:
    """Not the cluster's own records of the job, no command line, no log; and they leave the cluster with the run."""
    value = f"secret-{uuid.uuid4().hex}"
    file = (
        "resources: {cpus: 1, memory: 0.5}\nsecrets: {TOKEN: " + value + "}\n"
        "run: |\n  echo length ${#TOKEN}\n  env | grep -c TOKEN\n  sleep 12\n"
    )
    job = tenant.launch(file)
    tenant.platform.wait(lambda: f"length {len(value)}" in tenant.output(job), "the work to see it")
    assert value not in world.told()
    lines = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert value not in lines
    kept = [path for path, content in everything_below(world.site.folder).items() if value.encode() in content and world.root not in path.parents]
    assert kept == [], "a file of the agent"
    runs = [path for path, content in everything_below(world.root).items() if value.encode() in content]
    assert runs and all(path.stat().st_mode & 0o077 == 0 for path in runs), "those of the run, and closed to all but its user"
    done = tenant.platform.wait(lambda: (w := tenant.call("GET", f"/workloads/{job}"))["state"] == "succeeded" and w, "the end")
    assert value not in str(done) and value not in tenant.output(job)
    for place in (world.logs, world.site.folder.parent / "agent.log", tenant.platform.folder / "up.log"):
        files = everything_below(place) if place.is_dir() else {place: place.read_bytes()}
        assert [path for path, content in files.items() if value.encode() in content] == []
    assert value not in world.told()
    deadline = time.monotonic() + 180  # the run stays until the engine's own account of it is there, or has not come
    while runs := [path for path, content in everything_below(world.root).items() if value.encode() in content]:
        assert time.monotonic() < deadline, f"still there after the end: {runs}"
        time.sleep(1)
