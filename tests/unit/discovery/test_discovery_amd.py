"""AMD: both tools, both forms of each release line, and answers that must not be guessed at."""

import json
from typing import Any

import pytest
from host_recordings import exited, recording
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.site.discovery import RecordedHostReader, ToolResult
from zhisuan.site.discovery.accelerators import amd
from zhisuan.site.discovery.accelerators.common import Finding
from zhisuan.site.discovery.accelerators.documents import first_json

MI300X = recording("amd_smi_mi300x_list.txt")
MI355X = recording("amd_smi_mi355x.txt")
ROCM = recording("rocm_smi_7900xt.txt")


def _codes(finding: Finding) -> list[str]:
    return [problem.code for problem in finding.problems]


def _host(amd_smi: str | None = None, rocm_smi: str | None = None, code: int = 0) -> RecordedHostReader:
    tools: dict[tuple[str, ...], ToolResult] = {}
    if amd_smi is not None:
        tools[amd.AMD_SMI_COMMAND] = exited(amd_smi, code)
    if rocm_smi is not None:
        tools[amd.ROCM_SMI_COMMAND] = exited(rocm_smi)
    return RecordedHostReader(tools=tools)


def test_newer_form_behind_a_warning() -> None:
    finding = amd.find(_host(MI355X))
    assert finding.problems == ()
    (card,) = finding.devices
    assert (card.index, card.name, card.memory_mib) == (0, "AMD Instinct MI355X", 294896)
    # The limit in force counts, not the highest that could be set.
    assert card.power_limit_milliwatts == 1_000_000
    assert (card.key, card.compute_capability, card.driver_version) == ("amd:0000:05:00.0", "gfx950", "6.16.6")


def test_list_form_with_flat_limits_and_a_card_that_tells_nothing() -> None:
    finding = amd.find(_host(MI300X))
    (card,) = finding.devices
    assert (card.name, card.memory_mib) == ("AMD Instinct MI300X", 196592)
    # A limit of 0 W is one that was not read; the highest stands in.
    assert card.power_limit_milliwatts == 750_000
    assert _codes(finding) == ["device_unreadable"]


def test_the_older_tool_answers_where_the_newer_is_missing() -> None:
    finding = amd.find(_host(rocm_smi=ROCM))
    (card,) = finding.devices
    assert (card.name, card.memory_mib, card.memory_used_mib) == ("Radeon RX 7900 XT", 20464, 26)
    assert (card.power_limit_milliwatts, card.driver_version) == (265_000, "6.7.0")
    assert card.bus_id == "0000:03:00.0"


def test_older_key_spelling_is_read_too() -> None:
    finding = amd.parse_rocm_smi(ROCM.replace("Card Series", "Card series").replace("Card Vendor", "Card vendor"))
    assert [d.name for d in finding.devices] == ["Radeon RX 7900 XT"]


def test_the_older_tool_answers_where_the_newer_fails_and_both_are_told() -> None:
    finding = amd.find(_host("permission denied", ROCM, code=1))
    assert [d.tool for d in finding.devices] == ["rocm-smi"]
    assert _codes(finding) == ["tool_failed"]


def test_no_tool_is_no_problem() -> None:
    assert amd.find(_host()) == Finding()


def test_a_tool_of_another_maker_under_the_same_name_is_not_believed() -> None:
    finding = amd.parse_rocm_smi(ROCM.replace("Advanced Micro Devices, Inc. [AMD/ATI]", "C-3000 IC Design Co., Ltd."))
    assert finding.devices == ()
    assert _codes(finding) == ["unknown_format"]


@pytest.mark.parametrize("field", ["gpu", "bus", "vram"])
def test_a_missing_field_gives_no_device_at_all(field: str) -> None:
    entries = json.loads(MI300X)
    del entries[0][field]
    finding = amd.parse_amd_smi(json.dumps(entries))
    assert finding.devices == ()
    assert _codes(finding) == ["unknown_format"]


@pytest.mark.parametrize(
    "size", [{"value": 192, "unit": "TB"}, {"value": "192", "unit": "GB"}, {"value": 1.5, "unit": "GB"}, 5]
)
def test_a_memory_size_of_another_form_is_not_guessed(size: Any) -> None:
    entries = json.loads(MI300X)
    entries[0]["vram"]["size"] = size
    finding = amd.parse_amd_smi(json.dumps(entries))
    assert finding.devices == ()
    assert _codes(finding) == ["unknown_format"]


def test_gigabytes_are_gibibytes() -> None:
    entries = json.loads(MI300X)
    entries[0]["vram"]["size"] = {"value": 192, "unit": "GB"}
    assert amd.parse_amd_smi(json.dumps(entries)).devices[0].memory_mib == 196608


@pytest.mark.parametrize("text", ["", "no json", "{", "7", '"text"', '{"gpu": 0}', "[", "null"])
def test_no_json_list_is_an_unknown_format(text: str) -> None:
    assert _codes(amd.parse_amd_smi(text)) == ["unknown_format"]


def test_no_devices_in_a_good_answer_are_no_problem() -> None:
    assert amd.parse_amd_smi("[]") == Finding()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(json_values)
def test_no_json_breaks_the_parsers(value: Any) -> None:
    amd.parse_amd_smi(json.dumps(value))
    amd.parse_rocm_smi(json.dumps(value))
    amd.parse_amd_smi(
        json.dumps([{"gpu": 0, "asic": value, "bus": {"bdf": "x"}, "vram": {"size": value}, "limit": value}])
    )
    amd.parse_rocm_smi(json.dumps({"card0": value, "system": value}))


@given(st.text(), json_values)
def test_a_note_before_the_json_does_not_hide_it(note: str, value: Any) -> None:
    wrapped = {"gpu_data": value}
    note = note.replace("{", "").replace("[", "")
    assert first_json(f"{note}\n{json.dumps(wrapped)}\ntrailing") == wrapped
