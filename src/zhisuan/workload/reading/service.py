"""``service``: an endpoint instead of a job."""

from typing import Any

from zhisuan.workload.reading.reader import Reader, is_whole
from zhisuan.workload.reading.refused import PROBE_REFUSED, SERVICE_REFUSED
from zhisuan.workload.spec import ServiceSpec


def read_service(reader: Reader, value: Any, port: int | None) -> ServiceSpec | None:
    if value is None:
        return None
    data = reader.mapping("service", value)
    reader.known("service.", data, {"readiness_probe", "replicas", "port"}, SERVICE_REFUSED)
    if not is_whole(data.get("replicas", 1)) or data.get("replicas", 1) != 1:
        reader.wrong(
            "service.replicas", "more than one replica is not supported by this version", "本版本尚不支持多副本"
        )
    probe = data.get("readiness_probe", "/health")
    if isinstance(probe, dict):
        fields = {str(k): v for k, v in probe.items()}
        reader.known("service.readiness_probe.", fields, {"path"}, PROBE_REFUSED)
        probe = probe.get("path")
    if not isinstance(probe, str) or not probe.startswith("/"):
        reader.wrong("service.readiness_probe", "takes a path such as /health", "须为路径，例如 /health")
        probe = "/health"
    own: Any = data.get("port", port)
    if not is_whole(own) or not 1024 <= own <= 65535:
        reader.wrong(
            "service.port",
            "is needed: the port (1024 to 65535) that the work listens on",
            "不能为空：服务监听的端口（1024 到 65535）",
        )
        own = 8080
    return ServiceSpec(port=own, readiness_path=probe)
