"""The run's plan as the supervisor reads it. ``local/plan.py`` writes it and documents its keys."""

from zhisuan.engines.local import cgroup, records


class Plan:
    def __init__(self, pairs: records.Pairs) -> None:
        single = dict(pairs)
        self.folder = single["folder"]
        self.keepalive = single["keepalive"]
        self.uid = int(single["uid"]) if "uid" in single else None
        self.isolated = single["isolated"] == "1"
        self.stage_folder = single.get("stage_folder")
        self.stage = [value for key, value in pairs if key == "stage"]
        self.archives = [value for key, value in pairs if key == "open_archive"]
        self.data = [value.split("\n", 1) for key, value in pairs if key == "data"]
        self.program = [(key, value) for key, value in pairs if key in ("program", "program_data")]
        self.bwrap = [(key, value) for key, value in pairs if key in ("bwrap", "bwrap_data")]
        self.socket = single.get("socket")
        self.shell = single.get("shell")
        self.cgroup = cgroup.from_pairs(pairs)
        self.cgroup_pairs = [pair for pair in pairs if pair[0].startswith("cgroup_")]
        self.supervisors = single.get("supervisors")
        self.memory_bytes = int(single["memory_bytes"])
        self.cpus_milli = int(single["cpus_milli"])
        self.processes_max = int(single["processes_max"])
        self.open_files_max = int(single["open_files_max"])
        self.log_bytes_max = int(single["log_bytes_max"])
        self.max_seconds = int(single["max_seconds"]) if "max_seconds" in single else None
        self.timeout_grace_seconds = int(single["timeout_grace_seconds"])
        self.orphan_grace_seconds = int(single["orphan_grace_seconds"])
