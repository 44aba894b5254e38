"""The vendors whose tools print tables, blocks or CSV of their own: every recorded form, health, use, and what is not read."""

import json
from collections.abc import Callable

import pytest
from host_recordings import exited, recording
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.site.discovery import RecordedHostReader, ToolResult
from zhisuan.site.discovery.accelerators import (
    ADAPTERS,
    amd,
    ascend,
    cambricon,
    enflame,
    find_accelerators,
    hygon,
    iluvatar,
    intel,
    kunlun,
    metax,
    mthreads,
    nvidia,
    queries,
)
from zhisuan.site.discovery.accelerators.common import Finding
from zhisuan.site.discovery.types import Accelerator

Parse = Callable[[str], Finding]
IX_FIELDS = tuple(field for field in iluvatar.FIELDS if field != "power.draw")


def _ixsmi(output: str) -> Finding:
    return iluvatar.parse(output, IX_FIELDS)


RECORDED: dict[str, Parse] = {
    "nvidia_a100_pair.csv": nvidia.parse,
    "npu_smi_910a.txt": ascend.parse,
    "npu_smi_910b4.txt": ascend.parse,
    "npu_smi_910c.txt": ascend.parse,
    "npu_smi_310p3.txt": ascend.parse,
    "cnmon_4.20_mlu370x4.txt": cambricon.parse,
    "cnmon_5.10_mlu370x8.txt": cambricon.parse,
    "hy_smi_bw.json": hygon.parse,
    "hy_smi_k100_ai.json": hygon.parse,
    "mx_smi_2.1_c500.txt": metax.parse,
    "mx_smi_2.3_c500.txt": metax.parse,
    "mthreads_gmi_2.3_s5000.txt": mthreads.parse,
    "mthreads_gmi_1.14_s80.txt": mthreads.parse,
    "ixsmi_4.4_bi_v150.csv": _ixsmi,
    "efsmi_q_s60.txt": enflame.parse,
    "xpu_smi_m_p800.txt": kunlun.parse,
    "amd_smi_mi300x_list.txt": amd.parse_amd_smi,
    "rocm_smi_7900xt.txt": amd.parse_rocm_smi,
}


def _codes(finding: Finding) -> list[str]:
    return [problem.code for problem in finding.problems]


def _facts(device: Accelerator) -> tuple[object, ...]:
    return (device.index, device.name, device.memory_mib, device.memory_used_mib, device.health)


def _state(device: Accelerator) -> tuple[object, ...]:
    return (device.utilization_percent, device.temperature_celsius, device.power_draw_milliwatts)


def test_ascend_of_the_first_generation_with_its_processes() -> None:
    first, second = ascend.parse(recording("npu_smi_910a.txt")).devices
    assert _facts(first) == (0, "Ascend 910A", 32768, 3, "degraded")
    assert _facts(second) == (2, "Ascend 910ProB", 32768, 30711, "ok")
    assert (_state(second), second.process_memory_mib, first.process_memory_mib) == ((64, 37, 70_800), 30784, 0)
    assert first.health_reason is not None and "Warning" in first.health_reason.en


def test_cambricon_before_bus_addresses() -> None:
    first, second = cambricon.parse(recording("cnmon_4.20_mlu370x4.txt")).devices
    assert _facts(first) == (0, "MLU370-X4", 23308, 0, "ok")
    assert (first.key, first.driver_version, first.power_limit_milliwatts) == ("cambricon:card0", "4.20.11", 150_000)
    assert (second.health, first.process_memory_mib) == ("failed", None)


def test_cambricon_chips_errors_and_processes() -> None:
    first, second = cambricon.parse(recording("cnmon_5.10_mlu370x8.txt")).devices
    assert _facts(first) == (0, "MLU370-X8", 23374, 0, "ok")
    assert _facts(second) == (1, "MLU370-X8", 23374, 9216, "degraded")
    assert (second.key, second.driver_version) == ("cambricon:0000:3d:00.0", "5.10.13")
    assert (_state(second), second.process_memory_mib, first.process_memory_mib) == ((71, 39, 106_000), 9100, 0)


def test_a_virtual_function_of_cambricon_is_no_card() -> None:
    finding = cambricon.parse(recording("cnmon_5.10_mlu370x8.txt").replace("| 0     /  ", "| 0     1  "))
    assert [d.index for d in finding.devices] == [1]
    assert _codes(finding) == ["device_partitioned"]


def test_hygon_in_both_words() -> None:
    first, second = hygon.parse(recording("hy_smi_bw.json")).devices
    assert _facts(first) == (0, "BW", 65520, 3, "ok")
    assert (first.key, first.driver_version) == ("hygon:0000:09:00.0", "6.3.31-V1.5.0a")
    assert (_state(second), second.memory_used_mib) == ((27, 53, 191_000), 20413)
    (older,) = hygon.parse(recording("hy_smi_k100_ai.json")).devices
    assert (_facts(older), _state(older)) == ((0, "K100_AI", 65520, 2, "ok"), (0, 41, 108_000))


def test_the_oldest_hygon_tool_counts_bytes() -> None:
    text = recording("hy_smi_k100_ai.json").replace("(MiB)", "(B)").replace('"65520"', '"17163091968"')
    assert hygon.parse(text.replace('"2"', '"2097152"')).devices[0].memory_mib == 16368


def test_metax_in_the_older_table() -> None:
    first, second = metax.parse(recording("mx_smi_2.1_c500.txt")).devices
    assert _facts(first) == (0, "MetaX C500", 65536, 5680, "ok")
    assert (first.process_memory_mib, second.process_memory_mib, first.power_limit_milliwatts) == (4800, 0, 350_000)
    assert (_state(second), second.bus_id, second.driver_version) == ((12, 38, 70_000), "0000:0f:00.0", "2.12.13")


def test_metax_in_the_newer_table() -> None:
    first, second = metax.parse(recording("mx_smi_2.3_c500.txt")).devices
    assert (_facts(first), _state(first)) == ((0, "MetaX C500", 65536, 826, "ok"), (0, 32, 37_000))
    assert (second.health, second.index, first.process_memory_mib) == ("failed", 1, 0)
    assert second.health_reason is not None and "Not Available" in second.health_reason.en


def test_a_card_with_software_shares_is_no_whole_card() -> None:
    text = recording("mx_smi_2.3_c500.txt").replace("Disabled |\n| 37W", "Enabled  |\n| 37W")
    finding = metax.parse(text)
    assert ([d.index for d in finding.devices], _codes(finding)) == ([1], ["device_partitioned"])


def test_metax_counts_its_devices() -> None:
    text = recording("mx_smi_2.3_c500.txt").replace("GPUs                                     : 2", "GPUs : 3")
    (problem,) = metax.parse(text).problems
    assert problem.code == "unknown_format"
    assert "mx-smi 2.3.1" in problem.what.en and "mx-smi 2.3.1" in problem.what.zh


def test_the_tool_of_another_maker_called_mx_smi_is_none_of_ours() -> None:
    other = "│MOFFETT-SMI 2.3.0         Driver Version 3.5.2         SOLA Version 3.5.3 │\n"
    assert metax.find(RecordedHostReader(tools={("mx-smi",): exited(other)})) == Finding()


def test_moore_threads_in_both_tables() -> None:
    first, second = mthreads.parse(recording("mthreads_gmi_2.3_s5000.txt")).devices
    assert (_facts(first), _state(first)) == ((0, "MTT S5000", 81920, 66641, "ok"), (75, 52, None))
    assert (second.key, second.driver_version) == ("mthreads:00000000:3a:00.0", "3.3.5-server")
    (older,) = mthreads.parse(recording("mthreads_gmi_1.14_s80.txt")).devices
    assert _facts(older) == (0, "MTT S80", 16384, 2, "ok")


def test_a_share_of_a_moore_threads_card_is_no_card() -> None:
    finding = mthreads.parse(recording("mthreads_gmi_1.14_s80.txt").replace("Physical  ", "MPC Parent"))
    assert (finding.devices, _codes(finding)) == ((), ["device_partitioned"])


def _iluvatar(*answers: tuple[tuple[str, ...], ToolResult]) -> Finding:
    return iluvatar.find(RecordedHostReader(tools={queries.query("ixsmi", fields): r for fields, r in answers}))


def test_iluvatar_is_asked_without_what_it_refuses() -> None:
    refused = 'Field "power.draw" is not a valid field to query.\n'
    finding = _iluvatar((iluvatar.FIELDS, exited(refused, 2)), (IX_FIELDS, exited(recording("ixsmi_4.4_bi_v150.csv"))))
    first, second = finding.devices
    assert (_facts(first), _state(first)) == ((0, "Iluvatar BI-V150", 32768, 116, "ok"), (0, 32, 91_000))
    assert (second.key, second.bus_id) == ("GPU-5f1b0c11-7d41-5c0e-8f0e-0d7a3f1b9a42", "00000000:16:00.0")


def test_iluvatar_that_refuses_a_basic_field_is_an_unknown_format() -> None:
    assert _codes(_iluvatar((iluvatar.FIELDS, exited('Field "uuid" is not a valid field to query.\n', 2)))) == [
        "unknown_format"
    ]


def test_enflame() -> None:
    first, second = enflame.parse(recording("efsmi_q_s60.txt")).devices
    assert (_facts(first), _state(first)) == ((0, "S60", 42976, 0, "ok"), (0, 35, 96_000))
    assert (first.key, first.bus_id, first.driver_version) == ("enflame:TR0Y00000001", "0000:17:00.0", "1.4.3.4")
    assert (second.health, second.memory_used_mib, second.power_limit_milliwatts) == ("failed", 36142, 300_000)


def test_older_enflame_words() -> None:
    text = recording("efsmi_q_s60.txt").replace("Total Size", "Mem Size  ").replace("Used Size", "Mem Usage")
    assert [d.memory_used_mib for d in enflame.parse(text).devices] == [0, 36142]


def test_the_undocumented_tool_of_enflame_is_told_and_not_guessed_at() -> None:
    assert enflame.find(RecordedHostReader()) == Finding()
    finding = enflame.find(RecordedHostReader(tools={enflame.OLDER_COMMAND: exited("anything", 0)}))
    assert (finding.devices, _codes(finding)) == ((), ["undocumented_tool"])


INTEL_VERSION = "CLI:\n    Version: 1.3.6.20260210\n\nService:\n    Level Zero Version: 1.22.4\n"
P800 = recording("xpu_smi_m_p800.txt")


def intel_host(**answers: ToolResult) -> RecordedHostReader:
    def detail(number: int, bus: str, free: int) -> str:
        return json.dumps(
            {"device_id": number, "pci_bdf_address": bus, "driver_version": "25.18", "device_state": "normal",
             "memory_physical_size_byte": str(16 * 1024**3), "memory_free_size_byte": str(free)}
        )  # fmt: skip

    stats = json.dumps(
        {"device_id": 0, "device_level": [
            {"metrics_type": "XPUM_STATS_POWER", "value": 44.69},
            {"metrics_type": "XPUM_STATS_GPU_CORE_TEMPERATURE", "value": 53.0},
            {"metrics_type": "XPUM_STATS_GPU_UTILIZATION", "value": 12.5},
        ]}
    )  # fmt: skip
    tools = {
        intel.VERSION_COMMAND: exited(INTEL_VERSION),
        intel.COMMAND: exited(recording("intel_discovery.json")),
        ("xpu-smi", "discovery", "-d", "0", "-j"): exited(detail(0, "0000:4d:00.0", 16 * 1024**3 - 229 * 1024**2)),
        ("xpu-smi", "discovery", "-d", "1", "-j"): exited(detail(1, "0000:5d:00.0", 16 * 1024**3)),
        ("xpu-smi", "stats", "-d", "0", "-j"): exited(stats),
    }
    return RecordedHostReader(tools={**tools, **{tuple(k.split()): v for k, v in answers.items()}})


def test_intel_device_by_device() -> None:
    first, second = intel.find(intel_host()).devices
    assert _facts(first) == (0, "Intel(R) Data Center GPU Flex 170", 16384, 229, "ok")
    assert (_state(first), _state(second)) == ((12, 53, 44_690), (None, None, None))
    assert first.key == "intel:0000:4d:00.0"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["xpu-smi discovery -j", "xpu-smi discovery -d 0 -j", "xpu-smi stats -d 0 -j"]), st.data())
def test_intel_answers_that_are_cut_never_invent_a_device(command: str, data: st.DataObject) -> None:
    text = intel_host().tools[tuple(command.split())].stdout
    cut = exited(text[: data.draw(st.integers(0, len(text) - 1))])
    found = intel.find(intel_host(**{command: cut}))
    assert _is_part_of(found, intel.find(intel_host()))
    assert len(found.devices) == 2 or found.problems


def test_intel_states_and_shares() -> None:
    listed = json.loads(recording("intel_discovery.json"))
    listed["device_list"][0]["device_state"] = "survivability mode"
    listed["device_list"][1]["device_function_type"] = "virtual"
    finding = intel.find(intel_host(**{" ".join(intel.COMMAND): exited(json.dumps(listed))}))
    assert [d.health for d in finding.devices] == ["degraded"]
    assert _codes(finding) == ["device_partitioned"]


def test_one_name_two_tools() -> None:
    """``xpu-smi`` is Intel's on one host and Kunlunxin's on another; neither adapter takes the other's for its own."""
    assert kunlun.find(intel_host()) == Finding()
    theirs = RecordedHostReader(tools={("xpu-smi", "-m"): exited(P800), ("xpu-smi", "-v"): exited("XPU-SMI 5.0\n")})
    assert intel.find(theirs) == Finding()
    assert [d.vendor for d in kunlun.find(theirs).devices] == ["kunlun", "kunlun"]


def test_kunlunxin_by_position() -> None:
    first, second = kunlun.find(RecordedHostReader(tools={("xpu_smi", "-m"): exited(P800)})).devices
    assert (_facts(first), _state(first)) == ((0, "P800 OAM", 98304, 90440, "ok"), (97, 36, 86_000))
    assert (second.memory_used_mib, second.bus_id) == (0, "00000000:05:00.0")


def test_kunlunxin_of_the_first_generation_keeps_its_power_to_itself() -> None:
    assert kunlun.parse(P800.replace(" 86 ", " 74250 ")).devices[0].power_draw_milliwatts is None


def test_amd_state_is_set_beside_its_device() -> None:
    tools = {
        amd.AMD_SMI_COMMAND: exited(recording("amd_smi_mi300x_list.txt")),
        amd.METRIC_COMMAND: exited(recording("amd_smi_metric_mi300x.json")),
    }
    (card,) = amd.find(RecordedHostReader(tools=tools)).devices
    assert (card.memory_used_mib, card.health, _state(card)) == (150211, "degraded", (93, 71, 612_000))


def test_amd_tool_on_a_hygon_host_is_passed_over_in_silence() -> None:
    text = recording("hy_smi_bw.json")
    assert amd.find(RecordedHostReader(tools={amd.ROCM_SMI_COMMAND: exited(text)})) == Finding()


@pytest.mark.parametrize(("vendor", "find"), ADAPTERS)
def test_no_tool_no_noise(vendor: str, find: Callable[[RecordedHostReader], Finding]) -> None:
    assert find(RecordedHostReader()) == Finding(), vendor


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (ToolResult("timed_out"), "tool_timed_out"),
        (ToolResult("overran"), "tool_overran"),
        (ToolResult("failed_to_start", stderr="Exec format error"), "tool_failed"),
        (exited("", 1, "driver not loaded"), "tool_failed"),
        (exited(""), "unknown_format"),
        (exited("驱动程序未加载\n"), "unknown_format"),
        (exited("\x00\x07ÿ" * 99), "unknown_format"),
    ],
)
def test_every_tool_in_trouble_gives_one_problem_that_names_it(result: ToolResult, code: str) -> None:
    class Reader(RecordedHostReader):
        def run(self, command: object, *, timeout_seconds: float) -> ToolResult:
            return result

    for vendor, find in ADAPTERS:
        finding = find(Reader())
        assert finding.devices == (), vendor
        # xpu-smi that does not say it is Intel's counts as Kunlunxin's: one tool, one problem.
        told = finding.problems
        assert vendor == "intel" or {p.code for p in told} == {code}, (vendor, told)
        for problem in told:
            assert problem.source in problem.what.en and problem.source in problem.what.zh
            assert problem.remedy.en and problem.remedy.zh


def _is_part_of(found: Finding, whole: Finding) -> bool:
    """Whether every device was there in the whole output, as what it is."""
    known = {(d.key, d.name, d.memory_mib) for d in whole.devices}
    return all((d.key, d.name, d.memory_mib) in known for d in found.devices)


@pytest.mark.parametrize("name", RECORDED)
def test_a_cut_output_never_invents_a_device(name: str) -> None:
    parse, text = RECORDED[name], recording(name)
    whole = parse(text)
    assert whole.devices
    for end in range(len(text)):
        found = parse(text[:end])
        assert _is_part_of(found, whole), text[max(0, end - 60) : end]
        assert found.devices or found.problems


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(RECORDED)), st.data())
def test_a_spoilt_output_never_raises_nor_adds_a_device(name: str, data: st.DataObject) -> None:
    parse, text = RECORDED[name], recording(name)
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    noise = data.draw(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        | st.sampled_from(["|", "\n", " ", "N/A", "显存"])
    )
    found = parse(text[:at] + noise + text[at + length :])
    assert len(found.devices) <= len(parse(text).devices)
    assert all(d.memory_mib > 0 and d.name and d.key for d in found.devices)
    assert found.devices or found.problems


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(RECORDED)), st.text(max_size=200))
def test_any_text_is_survived(name: str, text: str) -> None:
    found = RECORDED[name](text)
    assert not found.devices


def test_all_vendors_on_one_host_keep_to_themselves() -> None:
    tools = {
        ("npu-smi", "info"): exited(recording("npu_smi_910a.txt")),
        ("cnmon",): exited(recording("cnmon_5.10_mlu370x8.txt")),
        hygon.COMMAND: exited(recording("hy_smi_bw.json")),
        amd.ROCM_SMI_COMMAND: exited(recording("hy_smi_bw.json")),
        ("mx-smi",): exited(recording("mx_smi_2.3_c500.txt")),
        ("mthreads-gmi",): exited(recording("mthreads_gmi_2.3_s5000.txt")),
        enflame.COMMAND: exited(recording("efsmi_q_s60.txt")),
        ("xpu_smi", "-m"): exited(P800),
        ("xpu-smi", "-m"): exited(P800),
    }
    devices, problems = find_accelerators(RecordedHostReader(tools=tools))
    assert problems == ()
    vendors = [d.vendor for d in devices]
    assert vendors == [
        v for v in ("huawei", "cambricon", "hygon", "metax", "mthreads", "enflame", "kunlun") for _ in "ab"
    ]
    assert len({d.key for d in devices}) == len(devices)
