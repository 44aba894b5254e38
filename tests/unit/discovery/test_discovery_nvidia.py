"""NVIDIA: recorded answers, old drivers, cards in trouble, and output that must not be guessed at."""

import pytest
from host_recordings import exited, recording
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.discovery import RecordedHostReader, ToolResult
from zhisuan.site.discovery.accelerators import nvidia
from zhisuan.site.discovery.accelerators.common import Finding

GOOD = recording("nvidia_a100_pair.csv")


def _find(*answers: tuple[tuple[str, ...], ToolResult]) -> Finding:
    return nvidia.find(RecordedHostReader(tools={nvidia.command(fields): result for fields, result in answers}))


def _codes(finding: Finding) -> list[str]:
    return [problem.code for problem in finding.problems]


def test_two_cards() -> None:
    finding = _find((nvidia.FIELDS, exited(GOOD)))
    assert finding.problems == ()
    first, second = finding.devices
    assert first.to_json() == {
        "key": "GPU-b0354a1a-37c2-086d-f6fe-953b6fac5c3e",
        "vendor": "nvidia",
        "index": 0,
        "name": "NVIDIA A100-SXM4-80GB",
        "memory_mib": 81920,
        "memory_used_mib": 61234,
        "power_limit_milliwatts": 400_000,
        "driver_version": "580.65.06",
        "compute_capability": "8.0",
        "bus_id": "00000000:07:00.0",
        "health": "ok",
        "tool": "nvidia-smi",
        "health_reason": None,
        "memory_idle_mib": 0,
        "process_memory_mib": None,
        "utilization_percent": None,
        "temperature_celsius": None,
        "power_draw_milliwatts": None,
    }
    assert (second.index, second.memory_used_mib) == (1, 512)


def test_what_a_real_card_answered() -> None:
    """An H200 under driver 580.159.04, as its host printed it (the UUID is another)."""
    uuid = "GPU-00000000-0000-4000-8000-00000000000a"
    tools = {
        nvidia.command(nvidia.FIELDS): exited(f"0, {uuid}, NVIDIA H200, 143771, 0, 700.00, 580.159.04, 9.0, 00000000:00:06.0, Disabled\n"),
        nvidia.command(nvidia.STATE_FIELDS): exited(f"{uuid}, 0, 36, 80.03, 0, [N/A]\n"),
        nvidia.PROCESSES_COMMAND: exited(""),
    }
    finding = nvidia.find(RecordedHostReader(tools=tools))
    (card,) = finding.devices
    assert (finding.problems, card.health, card.health_reason, card.memory_mib) == ((), "ok", None, 143771)
    assert (card.process_memory_mib, card.temperature_celsius, card.power_draw_milliwatts) == (0, 36, 80_030)


FIRST, SECOND = (device.key for device in nvidia.parse(GOOD).devices)


def _with_state(state: str, processes: ToolResult) -> Finding:
    tools = {nvidia.command(nvidia.FIELDS): exited(GOOD), nvidia.command(nvidia.STATE_FIELDS): exited(state)}
    return nvidia.find(RecordedHostReader(tools={**tools, nvidia.PROCESSES_COMMAND: processes}))


def test_state_and_processes_are_set_beside_their_devices() -> None:
    state = f"{SECOND}, 97, 61, 389.05, 3, No\n{FIRST}, 0, 31, 62.10, 0, No\n"
    first, second = _with_state(state, exited(f"{SECOND}, 400\n{SECOND}, 24\n")).devices
    assert (first.health, first.health_reason, first.process_memory_mib) == ("ok", None, 0)
    assert (first.utilization_percent, first.temperature_celsius, first.power_draw_milliwatts) == (0, 31, 62_100)
    assert (second.health, second.process_memory_mib, second.utilization_percent) == ("degraded", 424, 97)
    assert second.health_reason is not None and "3 " in second.health_reason.en and "3 " in second.health_reason.zh


def test_pages_that_wait_to_be_retired_degrade_a_device() -> None:
    first, _ = _with_state(f"{FIRST}, 0, 31, 62.10, [N/A], Yes\n", exited("")).devices
    assert first.health == "degraded"


@pytest.mark.parametrize("processes", [exited(f"{FIRST}, [N/A]\n"), exited("", 9), exited("nonsense\n")])
def test_processes_that_are_not_told_are_unknown_and_not_none(processes: ToolResult) -> None:
    first, _ = _with_state("", processes).devices
    assert first.process_memory_mib is None
    assert first.utilization_percent is None


def test_a_mig_mode_of_another_word_is_not_taken_for_off() -> None:
    assert _codes(nvidia.parse(GOOD.replace("Disabled", "Disab"))) == ["unknown_format"]


def test_the_query_is_the_documented_one() -> None:
    assert nvidia.command(("index", "uuid")) == (
        "nvidia-smi",
        "--query-gpu=index,uuid",
        "--format=csv,noheader,nounits",
    )


def test_an_old_driver_is_asked_again_without_the_fields_it_refuses() -> None:
    without_cap = tuple(f for f in nvidia.FIELDS if f != "compute_cap")
    basic = tuple(f for f in without_cap if f != "mig.mode.current")
    refusal = 'Field "{}" is not a valid field to query.\n\n'
    finding = _find(
        (nvidia.FIELDS, exited(refusal.format("compute_cap"), 2)),
        (without_cap, exited(refusal.format("mig.mode.current"), 2)),
        (basic, exited(recording("nvidia_t4_old_driver.csv"))),
    )
    (card,) = finding.devices
    assert (card.name, card.memory_mib, card.compute_capability) == ("Tesla T4", 15109, None)
    assert card.power_limit_milliwatts == 70_000


def test_a_driver_that_refuses_a_basic_field_is_an_unknown_format() -> None:
    finding = _find((nvidia.FIELDS, exited('Field "uuid" is not a valid field to query.\n', 2)))
    assert finding.devices == ()
    assert _codes(finding) == ["unknown_format"]


@pytest.mark.parametrize("answer", [ToolResult("missing"), exited("No devices were found\n", 6)])
def test_no_card_is_no_problem(answer: ToolResult) -> None:
    assert _find((nvidia.FIELDS, answer)) == Finding()


def test_a_driver_that_is_not_loaded_is_told() -> None:
    said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
    (problem,) = _find((nvidia.FIELDS, exited(said, 9))).problems
    assert problem.code == "tool_failed"
    assert "couldn't communicate with the NVIDIA driver" in problem.what.en
    assert "退出码 9" in problem.what.zh


def test_a_hanging_driver_is_told() -> None:
    assert _codes(_find((nvidia.FIELDS, ToolResult("timed_out")))) == ["tool_timed_out"]


def test_a_card_split_by_mig_is_left_out_and_the_other_stays() -> None:
    finding = nvidia.parse(GOOD.replace("Disabled", "Enabled", 1))
    assert [d.index for d in finding.devices] == [1]
    assert _codes(finding) == ["device_partitioned"]


def test_a_card_without_a_memory_size_is_left_out() -> None:
    finding = nvidia.parse(GOOD.replace("81920, 61234", "[N/A], [N/A]"))
    assert [d.index for d in finding.devices] == [1]
    assert _codes(finding) == ["device_unreadable"]


def test_a_lost_card_is_left_out() -> None:
    lost = "1, " + ", ".join(["[GPU is lost]"] * 9)
    finding = nvidia.parse(GOOD.splitlines()[0] + "\n" + lost + "\n")
    assert [d.index for d in finding.devices] == [0]
    assert _codes(finding) == ["device_unreadable"]


@pytest.mark.parametrize("word", ["[N/A]", "[Not Supported]", "[Insufficient Permissions]", "[Unknown Error]"])
def test_what_a_card_does_not_tell_is_none(word: str) -> None:
    finding = nvidia.parse(
        GOOD.replace("512, 400.00", f"{word}, {word}").replace("8.0, 00000000:0A:00.0", f"{word}, {word}")
    )
    card = finding.devices[1]
    assert (card.memory_used_mib, card.power_limit_milliwatts, card.compute_capability, card.bus_id) == (None,) * 4


@pytest.mark.parametrize(
    "output",
    [
        "",
        "\n",
        "index, uuid, name\n0, GPU-1, X\n",
        GOOD.replace("81920", "81920 MiB"),
        GOOD.replace("A100-SXM4", "A100, SXM4", 1),
        GOOD.replace("0, GPU-", "zero, GPU-", 1),
        GOOD.replace("GPU-072b19bd-4ccf-63cf-6435-cf462aff833d", "GPU-b0354a1a-37c2-086d-f6fe-953b6fac5c3e"),
        GOOD + "Warning: infoROM is corrupted at gpu 0000:07:00.0\n",
    ],
)
def test_another_form_gives_no_device_at_all(output: str) -> None:
    finding = nvidia.parse(output)
    assert finding.devices == ()
    assert _codes(finding) == ["unknown_format"]


@given(st.integers(0, GOOD.count(",") - 1))
def test_any_missing_comma_gives_no_device(number: int) -> None:
    commas = [at for at, letter in enumerate(GOOD) if letter == ","]
    at = commas[number]
    finding = nvidia.parse(GOOD[:at] + GOOD[at + 1 :])
    assert finding.devices == ()
    assert _codes(finding) == ["unknown_format"]


@given(st.text())
def test_no_text_breaks_the_parser_or_passes_silently(text: str) -> None:
    finding = nvidia.parse(text)
    assert finding.problems
