"""Ascend: the three recorded table forms, health, and tables that must not be guessed at."""

import pytest
from host_recordings import exited, recording
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.discovery import RecordedHostReader, ToolResult
from zhisuan.site.discovery.accelerators import ascend
from zhisuan.site.discovery.accelerators.common import Finding

B4 = recording("npu_smi_910b4.txt")
C = recording("npu_smi_910c.txt")
P3 = recording("npu_smi_310p3.txt")


def _codes(finding: Finding) -> list[str]:
    return [problem.code for problem in finding.problems]


def test_910b4_in_a_container_keeps_the_card_numbers() -> None:
    finding = ascend.parse(B4)
    assert finding.problems == ()
    assert [(d.index, d.name, d.memory_mib, d.memory_used_mib, d.health) for d in finding.devices] == [
        (0, "Ascend 910B4", 32768, 2843, "ok"),
        (3, "Ascend 910B4", 32768, 2842, "ok"),
        (4, "Ascend 910B4", 32768, 32446, "failed"),
        (7, "Ascend 910B4", 32768, 2833, "ok"),
    ]
    assert finding.devices[0].key == "ascend:0000:C1:00.0"
    assert finding.devices[0].driver_version == "24.1.rc3"
    # The table shows the power drawn now, which is no limit.
    assert finding.devices[0].power_limit_milliwatts is None


def test_910c_gives_one_device_a_die_by_physical_number() -> None:
    finding = ascend.parse(C)
    assert finding.problems == ()
    assert [(d.index, d.name, d.memory_mib, d.bus_id) for d in finding.devices] == [
        (0, "Ascend 910", 65536, "0000:9D:00.0"),
        (1, "Ascend 910", 65536, "0000:9F:00.0"),
        (2, "Ascend 910", 65536, "0000:99:00.0"),
        (3, "Ascend 910", 65536, "0000:9B:00.0"),
    ]


def test_310p3_has_no_hbm_column_and_its_own_device_number() -> None:
    (card,) = ascend.parse(P3).devices
    assert (card.index, card.name, card.memory_mib, card.memory_used_mib) == (0, "Ascend 310P3", 21527, 1832)


def test_a_board_without_a_bus_address_gets_a_key_from_its_numbers() -> None:
    (card,) = ascend.parse(recording("npu_smi_310b1.txt")).devices
    assert (card.key, card.bus_id, card.name) == ("ascend:npu0-chip0", None, "Ascend 310B1")


@pytest.mark.parametrize(
    ("word", "health"),
    [("OK", "ok"), ("Warning", "degraded"), ("Alarm", "failed"), ("Critical", "failed"), ("UNKNOWN", "unknown")],
)
def test_health_words(word: str, health: str) -> None:
    assert ascend.parse(P3.replace("| OK ", f"| {word} ")).devices[0].health == health


def test_the_tool_is_run_and_its_absence_is_no_problem() -> None:
    assert ascend.find(RecordedHostReader()) == Finding()
    found = ascend.find(RecordedHostReader(tools={("npu-smi", "info"): exited(P3)}))
    assert [d.name for d in found.devices] == ["Ascend 310P3"]


def test_a_driver_that_does_not_answer_is_told() -> None:
    said = "dcmi module initialize failed. ret is -8005\n"
    finding = ascend.find(RecordedHostReader(tools={("npu-smi", "info"): exited(said, 255)}))
    assert _codes(finding) == ["tool_failed"]
    assert "-8005" in finding.problems[0].what.en
    finding = ascend.find(RecordedHostReader(tools={("npu-smi", "info"): ToolResult("timed_out")}))
    assert _codes(finding) == ["tool_timed_out"]


def test_a_chip_with_no_memory_is_left_out_alone() -> None:
    finding = ascend.parse(B4.replace("2842 / 32768", "0    / 0    "))
    assert [d.index for d in finding.devices] == [0, 4, 7]
    assert _codes(finding) == ["device_unreadable"]


@pytest.mark.parametrize(
    "output",
    [
        "",
        "dcmi module initialize failed. ret is -8005\n",
        "| npu-smi 30.0  Version: 30.0 |\n| NPU Name | State | Memory |\n| 0 910D | OK | 1/2 |\n",
        B4.replace("HBM-Usage(MB)", "DDR-Usage(MB)"),
        B4.replace("Bus-Id ", "Address"),
        B4.replace("2843 / 32768", "2843 of 32768"),
        C.replace("Chip  Phy-ID", "Chip        "),
        B4.replace("0000:82:00.0", "0000:C1:00.0"),
        B4.replace("| NPU   Name ", "| Card  Name "),
    ],
)
def test_another_form_gives_no_device_at_all(output: str) -> None:
    finding = ascend.parse(output)
    assert finding.devices == ()
    assert _codes(finding) == ["unknown_format"]


@pytest.mark.parametrize("table", [B4, C, P3])
def test_any_missing_device_line_gives_no_device(table: str) -> None:
    lines = table.splitlines()
    heading = next(at for at, line in enumerate(lines) if line.startswith("| Chip"))
    end = next((at for at, line in enumerate(lines) if "Process id" in line), len(lines))
    device_lines = [at for at in range(heading + 1, end) if lines[at].startswith("|")]
    assert device_lines
    for at in device_lines:
        finding = ascend.parse("\n".join(lines[:at] + lines[at + 1 :]))
        assert finding.devices == ()
        assert _codes(finding) == ["unknown_format"]


@given(st.text(alphabet=st.sampled_from("|+=- 0129OKNPUChipName/\n910B3")))
def test_no_text_breaks_the_parser_or_passes_silently(text: str) -> None:
    assert ascend.parse(text).problems


@given(st.text(max_size=40), st.integers(0, len(B4)))
def test_garbage_in_the_table_never_breaks_the_parser(noise: str, at: int) -> None:
    finding = ascend.parse(B4[:at] + noise + B4[at:])
    assert finding.devices or finding.problems
