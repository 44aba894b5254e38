"""A host's cards look after look: what others take, what is lost, and when the server is told."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.text import Text
from zhisuan.engines.contract import AcceleratorGrant
from zhisuan.site.discovery import Accelerator, Problem, RecordedHostReader, ToolResult, discover
from zhisuan.site.discovery.accelerators import nvidia
from zhisuan.site.inventory import card_grant, card_report
from zhisuan.site.stock import Stock
from zhisuan.site.watch_devices import LOOKS_IN_A_ROW, DeviceWatch
from zhisuan.wire.site import DeviceReport, EngineFacts, Inventory, NodeReport

ENGINE = EngineFacts(engine="local", version="1", isolation="sandbox", allow_unisolated=False)
CPU = DeviceReport(key="cpu", kind="cpu", name="a processor", capacity=8000)
HUNG = Problem(
    "nvidia-smi", "tool_timed_out", Text("nvidia-smi gave no answer.", "nvidia-smi 没有响应。"), Text("", "")
)


def card(index: int = 0, used_mib: int = 0) -> Accelerator:
    return Accelerator(
        key=f"GPU-{index}", vendor="nvidia", index=index, name="NVIDIA H200", memory_mib=143771, memory_used_mib=used_mib,
        power_limit_milliwatts=None, driver_version="1", compute_capability=None, bus_id=None, health="ok",
        tool="nvidia-smi",
    )  # fmt: skip


class Host:
    """A stock with a watch over it."""

    def __init__(self, *devices: Accelerator, ours: frozenset[str] | None = frozenset()) -> None:
        self.ours = ours
        found = replace(discover(RecordedHostReader(), data_dir="/"), hostname="node-1", accelerators=devices)
        node = NodeReport(
            hostname="node-1", os="", architecture="", boot_id="b", facts={"kernel": "6"},
            devices=(CPU, *(card_report(d, ()) for d in devices)),
        )  # fmt: skip
        grants: dict[str, dict[str, AcceleratorGrant]] = {"node-1": {d.key: card_grant(d) for d in devices}}
        self.stock = Stock(Inventory(engine=ENGINE, nodes=(node,)), grants)
        self.watch = DeviceWatch(self.stock, found, {}, lambda: self.ours)

    def card(self, index: int = 0) -> DeviceReport:
        return next(d for d in self.stock.message.nodes[0].devices if d.key == f"GPU-{index}")

    @property
    def healths(self) -> list[str]:
        return [d.health for d in self.stock.message.nodes[0].devices if d.kind == "accelerator"]


def test_a_host_without_accelerators_is_left_as_it_is() -> None:
    host = Host()
    before = host.stock.message
    assert not host.watch.renew((), ())
    assert host.stock.message is before


def test_a_card_in_use_when_the_agent_begins_is_not_offered_from_the_first_message_on() -> None:
    host = Host(card(0, 70_000), card(1))
    assert host.healths == ["occupied", "ok"]
    note = host.card(0).note or ""
    assert "68 GiB" in note
    assert "非本平台的进程占用" in note
    assert host.card(0).capacity == 1000
    facts = host.stock.message.nodes[0].facts
    assert facts["kernel"] == "6"
    assert [c["used_by_others_mib"] for c in facts["accelerators"]] == [70_000, 0]  # type: ignore[attr-defined]


def test_a_card_taken_later_counts_at_the_second_look_and_is_free_at_once() -> None:
    host = Host(card())
    assert not host.watch.renew([card(used_mib=5000)], ())
    assert host.watch.renew([card(used_mib=5000)], ())
    assert host.healths == ["occupied"]
    assert not host.watch.renew([card(used_mib=5100)], ())
    assert host.watch.renew([card()], ())
    assert (host.healths, host.card().note) == (["ok"], None)


def test_memory_under_a_lease_of_ours_is_ours_and_so_is_what_it_frees_late() -> None:
    host = Host(card(used_mib=90_000), ours=frozenset({"GPU-0"}))
    assert host.healths == ["ok"]
    assert not host.watch.renew([card(used_mib=90_000)], ())
    host.ours = frozenset()
    assert not host.watch.renew([card(used_mib=90_000)], ())
    assert not host.watch.renew([card()], ())
    host.ours = None
    for _ in range(5):
        assert not host.watch.renew([card(used_mib=90_000)], ())


def test_health_as_the_tool_tells_it_is_told_at_once_with_its_words() -> None:
    host = Host(card(used_mib=50_000))
    sick = replace(card(used_mib=50_000), health="degraded", health_reason=Text("ECC errors.", "ECC 错误。"))
    assert host.watch.renew([sick], ())
    assert host.card().health == "occupied"
    assert (host.card().note or "").startswith("ECC errors. ECC 错误。 Processes")
    assert host.watch.renew([replace(sick, health="failed")], ())
    assert (host.card().health, host.card().note) == ("failed", "ECC errors. ECC 错误。")


@pytest.mark.parametrize(("problems", "said"), [((HUNG,), "没有响应"), ((), "no longer lists this card")])
def test_a_card_that_is_not_to_be_seen_is_failed_and_stays_known(problems: tuple[Problem, ...], said: str) -> None:
    host = Host(card(0), card(1))
    left = [card(1)] if not problems else []
    assert host.watch.renew(left, problems) == bool(problems)
    assert host.healths == ["ok", "ok"]
    assert host.watch.renew(left, problems)
    assert host.card(0).health == "failed"
    assert said in (host.card(0).note or "")
    assert host.card(1).health == ("ok" if left else "failed")
    assert "GPU-0" in host.stock.grants["node-1"]
    assert not host.watch.renew(left, problems)
    assert host.watch.renew([card(0), card(1)], ())
    assert host.healths == ["ok", "ok"]


def test_the_trouble_of_a_tool_is_told_beside_what_lasts(caplog: pytest.LogCaptureFixture) -> None:
    """The disk of a recorded host cannot be read, which no look at its tools mends."""
    host = Host(card())

    def codes() -> list[str]:
        return [p["code"] for p in host.stock.message.nodes[0].facts["problems"]]  # type: ignore[attr-defined]

    with caplog.at_level("WARNING"):
        assert host.watch.renew([card()], [HUNG])
        assert codes() == ["tool_timed_out", "disk_unreadable"]
        assert not host.watch.renew([card()], [HUNG])
        assert host.watch.renew([card()], ())
    assert codes() == ["disk_unreadable"]
    assert caplog.text.count("gave no answer") == 1


def test_a_card_that_appears_is_offered_and_can_be_granted() -> None:
    host = Host()
    grants = host.stock.grants
    assert host.watch.renew([card(0), card(1, 9000)], ())
    assert host.healths == ["ok", "occupied"]
    assert grants["node-1"]["GPU-0"] == AcceleratorGrant("nvidia", 0, "GPU-0", None)


looks = st.lists(st.tuples(st.none() | st.sampled_from([0, 900, 5000]), st.booleans()), max_size=12)


@given(looks)
def test_nothing_is_offered_that_two_looks_said_is_taken_or_gone(seen: list[tuple[int | None, bool]]) -> None:
    """A look is the memory held (None: the card is not listed) and whether a lease of ours is on the card."""
    host = Host(card())
    against = 0
    for used, ours in seen:
        host.ours = frozenset({"GPU-0"}) if ours else frozenset()
        told = host.stock.message
        changed = host.watch.renew([] if used is None else [card(used_mib=used)], ())
        assert changed == (host.stock.message is not told)
        against = against + 1 if used is None or (used > 1024 and not ours) else 0
        if against == 0:
            assert host.healths == ["ok"]
        if against >= LOOKS_IN_A_ROW:
            assert host.healths == ["failed" if used is None else "occupied"]


def test_the_watch_looks_again_and_sends_only_what_is_different(caplog: pytest.LogCaptureFixture) -> None:
    """A tool that hangs from now on: one message tells the trouble, the next takes the card away, and no other comes."""

    async def scenario() -> list[list[str]]:
        host = Host(card())
        reader = RecordedHostReader(tools={nvidia.command(nvidia.FIELDS): ToolResult("timed_out")})
        sent: list[list[str]] = []
        taken = asyncio.Event()

        async def send(message: Inventory) -> None:
            sent.append([d.health for d in message.nodes[0].devices if d.kind == "accelerator"])
            if sent[-1] == ["failed"]:
                taken.set()

        watching = asyncio.create_task(host.watch.run(reader, send, every_seconds=0.001))
        await asyncio.wait_for(taken.wait(), 10)
        await asyncio.sleep(0.05)
        watching.cancel()
        return sent

    with caplog.at_level("WARNING"):
        assert asyncio.run(scenario()) == [["ok"], ["failed"]]
    assert caplog.text.count("nvidia-smi gave no answer") == 1
