"""The real agent beside a vendor's tool: what it reads there is what the server is told."""

from collections.abc import Callable
from pathlib import Path

import pytest
from agent_process import AgentProcess
from control_server import ControlServer

from zhisuan.site.discovery.accelerators import nvidia

AgentFactory = Callable[..., AgentProcess]
QUERY = nvidia.command(nvidia.FIELDS)[1]


def tool(folder: Path, *used_mib: int) -> None:
    """An ``nvidia-smi`` of the common form with one card for each ``used_mib``; it knows the first query alone."""
    lines = [
        f"{i}, GPU-{i:08d}-0000-0000-0000-000000000000, NVIDIA H200, 143771, {used}, 700.00, 570.86.15, 9.0, 00000000:1{i}:00.0, Disabled"
        for i, used in enumerate(used_mib)
    ]
    folder.mkdir()
    path = folder / "nvidia-smi"
    path.write_text(f'#!/bin/sh\ntest "$1" = "{QUERY}" || exit 2\ncat <<END\n' + "\n".join(lines) + "\nEND\n")
    path.chmod(0o755)


def test_a_card_that_others_work_on_is_reported_and_not_offered(
    server: ControlServer, agents: AgentFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path / "bin", 81_920, 4)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    agent = agents().start()
    inventory = server.wait("inventory", lambda seen: seen.inventories)[0]
    [node] = inventory.nodes
    cards = [d for d in node.devices if d.kind == "accelerator"]
    assert [(d.name, d.memory_mib, d.capacity, d.health) for d in cards] == [
        ("NVIDIA H200", 143771, 1000, "occupied"),
        ("NVIDIA H200", 143771, 1000, "ok"),
    ]
    assert "about 80 GiB" in (cards[0].note or "")
    assert cards[1].note is None
    assert agent.stop() == 0
    assert "Traceback" not in agent.log
