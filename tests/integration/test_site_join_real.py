"""``zhisuan site join`` as a provider runs it: a second process beside a real platform, to a new credential and to its end."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zhisuan.testing.platform import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    running = RunningPlatform(tmp_path_factory.mktemp("platform"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


def zhisuan(*words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "ZHISUAN_LANG": "en", "COLUMNS": "200"}
    command = [sys.executable, "-m", "zhisuan.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False, **more)


def test_a_machine_joins_rotates_and_is_shut_out(platform: RunningPlatform, tmp_path: Path) -> None:
    body = {"kind": "provider", "organisation": f"P {uuid.uuid4().hex[:6]}", "name": "p", "email": f"{uuid.uuid4().hex[:6]}@x.cn", "password": "long enough 1"}  # fmt: skip
    key = platform.call("POST", "/sign-up", json=body)["key"]["secret"]
    made = platform.call("POST", "/sites", key, json={"name": "second", "region": "CN-GS", "pue_milli": 1200})
    site, token, url = made["site"]["id"], made["join_token"], platform.runtime["server_url"]
    folder = tmp_path / "agent"

    refused = zhisuan(
        "site", "join", url, "--token", "zsj_" + "0" * 40, "--data-dir", str(folder), "--allow-unisolated"
    )
    assert refused.returncode == 1
    assert "does not know the join token" in refused.stderr
    assert not folder.exists()

    checked = zhisuan("site", "check", url, "--token", token, "--data-dir", str(folder), "--allow-unisolated", "--json")
    assert json.loads(checked.stdout)["can_join"] is True, checked.stdout
    assert not folder.exists()

    log = tmp_path / "join.log"
    words = ["site", "join", url, "--data-dir", str(folder), "--no-measure", "--allow-unisolated"]
    with log.open("wb") as out:
        agent = subprocess.Popen(
            [sys.executable, "-m", "zhisuan.cli", *words, "--token", token, "--city", "庆阳", "--tariff", "0.35"],
            stdout=out, stderr=out, env={**os.environ, "ZHISUAN_LANG": "en"},
        )  # fmt: skip
    try:
        view = platform.wait(lambda: (v := platform.call("GET", f"/sites/{site}", key))["nodes"] and v, "the inventory")
        assert (view["state"], view["city"], view["tariff_ucny_per_kwh"]) == ("joining", "庆阳", 350_000)
        assert view["round_trip_us"] > 0
        second = zhisuan(*words)
        assert "already works on" in second.stderr
        before = json.loads((folder / "credential.json").read_bytes())["credential"]
        rotated = zhisuan("site", "rotate", "--data-dir", str(folder))
        assert rotated.returncode == 0, rotated.stderr
        assert json.loads((folder / "credential.json").read_bytes())["credential"] != before
        platform.operator("POST", f"/sites/{site}/verify", json={})
        view = platform.call("GET", f"/sites/{site}", key)
        assert (view["state"], view["offer"]["offered"]) == ("open", True)
        platform.call("POST", f"/sites/{site}/revoke", key, json={"reason": "test"})
        assert agent.wait(60) == 4, log.read_text("utf-8", "replace")
        assert "zhisuan site token" in log.read_text("utf-8", "replace").replace("\n", " ")
        again = platform.call("POST", f"/sites/{site}/join-tokens", key, json={})["join_token"]
        with log.open("ab") as out:
            agent = subprocess.Popen(
                [sys.executable, "-m", "zhisuan.cli", *words, "--token", again], stdout=out, stderr=out
            )
        platform.wait(
            lambda: platform.call("GET", f"/sites/{site}", key)["revoked_at"] is None, "the site to come back"
        )
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(60) == 0, log.read_text("utf-8", "replace")
    finally:
        if agent.poll() is None:
            agent.kill()
            agent.wait()
