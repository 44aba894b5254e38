"""Every field of SkyPilot's task YAML is taken, or refused with a reason of its own.

The lists are the properties of SkyPilot's own schema (``sky/utils/schemas.py``, its task, resources, service and
readiness probe) as of November 2026, written down here and nowhere derived from our tables.
"""

import pytest

from zhisuan.base.errors import InvalidInput
from zhisuan.workload.reading.file import TOP, parse_workload
from zhisuan.workload.reading.refused import PROBE_REFUSED, RESOURCES_REFUSED, SERVICE_REFUSED, TOP_REFUSED
from zhisuan.workload.reading.resources import RESOURCES

TASK = ["name", "workdir", "event_callback", "num_nodes", "resources", "file_mounts", "service", "pool", "setup", "run", "envs", "secrets", "managed_secrets", "inputs", "outputs", "file_mounts_mapping", "config", "volumes", "volume_mounts", "api_server_access", "_metadata"]
RESOURCE = ["cloud", "region", "zone", "infra", "cpus", "memory", "accelerators", "instance_type", "use_spot", "job_recovery", "volumes", "disk_size", "ephemeral_storage", "disk_tier", "network_tier", "local_disk", "max_hourly_cost", "ports", "labels", "accelerator_args", "_no_missing_accel_warnings", "image_id", "autostop", "priority", "priority_class", "_docker_login_config", "_is_image_managed", "_requires_fuse", "_cluster_config_overrides", "any_of", "ordered"]
SERVICE = ["readiness_probe", "load_balancer", "pool", "replica_policy", "ports", "replicas", "workers", "load_balancing_policy", "tls"]
PROBE = ["path", "initial_delay_seconds", "timeout_seconds", "endpoint_probe_interval_seconds", "consecutive_failure_threshold_timeout", "post_data", "headers"]


def refusal(text: str, where: str) -> str | None:
    try:
        parse_workload(text)
    except InvalidInput as error:
        return next((p.problem.en for p in error.problems if p.where == where), None)
    return None


@pytest.mark.parametrize(
    ("fields", "taken", "refused", "shape", "where"),
    [
        (TASK, TOP, TOP_REFUSED, "run: x\n{}: 1", "{}"),
        (RESOURCE, RESOURCES, RESOURCES_REFUSED, "run: x\nresources: {{{}: 1}}", "resources.{}"),
        (SERVICE, {"readiness_probe", "replicas"}, SERVICE_REFUSED, "run: x\nservice: {{port: 8080, {}: 1}}", "service.{}"),
        (PROBE, {"path"}, PROBE_REFUSED, "run: x\nservice: {{port: 8080, readiness_probe: {{path: /, {}: 1}}}}", "service.readiness_probe.{}"),
    ],
    ids=["task", "resources", "service", "probe"],
)  # fmt: skip
def test_each_field_is_taken_or_refused_with_its_reason(
    fields: list[str], taken: set[str], refused: dict[str, object], shape: str, where: str
) -> None:
    assert set(fields) <= taken | set(refused)
    assert not taken & set(refused), "one or the other"
    for name in set(fields) - taken:
        told = refusal(shape.format(name), where.format(name))
        assert told and "is not a field" not in told, name


def test_other_forms_of_fields_we_have_are_refused_with_a_reason() -> None:
    assert "git repository" in (refusal("run: x\nworkdir: {url: https://example.org/r.git}", "workdir") or "")
    assert "bucket" in (refusal("run: x\nfile_mounts: {/a: {source: 's3://b', mode: MOUNT}}", "file_mounts./a") or "")
    assert "bucket" in (refusal("run: x\nfile_mounts: {/a: 's3://b'}", "file_mounts./a") or "")
