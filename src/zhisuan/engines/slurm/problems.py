"""What may be wrong with a Slurm cluster as a site, in both languages, each with its remedy."""

from collections.abc import Callable

from zhisuan.engines.contract import Problem


def partition_missing(name: str) -> Problem:
    return Problem(
        "partition_missing",
        f"The cluster has no partition {name}.",
        f"集群中没有名为 {name} 的分区。",
        "Name one of those that `sinfo -s` shows, or leave partition out where the cluster has a default one.",
        "请填写 `sinfo -s` 所列的分区；若集群设有默认分区，可以不填 partition。",
    )


def no_safe_user(detail: str) -> Problem:
    return Problem(
        "no_safe_user",
        f"Jobs cannot be submitted as a user without rights: {detail}",
        f"无法以普通用户身份提交作业：{detail}",
        "Create an ordinary user with the same number on all nodes and name it in unix_user, or run the agent as that user.",
        "请在所有节点上以相同的用户 ID 创建普通用户并填入 unix_user，或直接以该用户运行代理。",
    )


def not_isolated() -> Problem:
    return Problem(
        "not_isolated",
        "Work runs without a sandbox (allow_unisolated): it sees the node's files as the jobs' user does, those of other "
        "runs among them.",
        "作业在沙箱之外运行（allow_unisolated）：可以读取作业用户在节点上能读的一切文件，包括其他作业的文件。",
        "Install bubblewrap 0.8.0 or newer on all nodes and switch allow_unisolated off.",
        "请在所有节点安装 bubblewrap 0.8.0 或更高版本，并关闭 allow_unisolated。",
    )


def memory_not_enforced() -> Problem:
    return Problem(
        "slurm_memory_not_enforced",
        "This Slurm counts memory but does not hold jobs to it.",
        "该 Slurm 只统计内存，不会强制执行内存限额。",
        "Set TaskPlugin=task/cgroup in slurm.conf and ConstrainRAMSpace=yes in cgroup.conf.",
        "请在 slurm.conf 中设置 TaskPlugin=task/cgroup，并在 cgroup.conf 中设置 ConstrainRAMSpace=yes。",
    )


def cpu_not_enforced() -> Problem:
    return Problem(
        "slurm_cpu_not_enforced",
        "This Slurm does not bind jobs to the cores they were given.",
        "该 Slurm 不会把作业限制在所分配的 CPU 核上。",
        "Set TaskPlugin=task/cgroup,task/affinity in slurm.conf and ConstrainCores=yes in cgroup.conf.",
        "请在 slurm.conf 中设置 TaskPlugin=task/cgroup,task/affinity，并在 cgroup.conf 中设置 ConstrainCores=yes。",
    )


def devices_not_enforced() -> Problem:
    return Problem(
        "slurm_devices_not_enforced",
        "This Slurm tells jobs which accelerators are theirs but does not keep them from the others.",
        "该 Slurm 只告知作业可用的加速卡，不会阻止作业访问其他加速卡。",
        "Set TaskPlugin=task/cgroup in slurm.conf and ConstrainDevices=yes in cgroup.conf.",
        "请在 slurm.conf 中设置 TaskPlugin=task/cgroup，并在 cgroup.conf 中设置 ConstrainDevices=yes。",
    )


def no_accounting() -> Problem:
    return Problem(
        "slurm_no_accounting",
        "This cluster keeps no accounting (no slurmdbd): Slurm's own account of a job is gone soon after its end, so usage "
        "can be held against it only for a short time.",
        "该集群未启用记账数据库（没有 slurmdbd）：作业结束后不久 Slurm 的记录即会消失，只能在短时间内与平台用量对账。",
        "Set AccountingStorageType=accounting_storage/slurmdbd.",
        "请设置 AccountingStorageType=accounting_storage/slurmdbd。",
    )


def processes_outlive_jobs() -> Problem:
    return Problem(
        "slurm_weak_tracking",
        "ProctrackType is proctrack/pgid: processes that leave their group survive the end of their job.",
        "ProctrackType 为 proctrack/pgid：脱离进程组的进程会在作业结束后继续存活。",
        "Set ProctrackType=proctrack/cgroup in slurm.conf.",
        "请在 slurm.conf 中设置 ProctrackType=proctrack/cgroup。",
    )


ALL: tuple[Callable[[], Problem], ...] = (
    lambda: partition_missing("…"),
    lambda: no_safe_user("…"),
    not_isolated,
    memory_not_enforced,
    cpu_not_enforced,
    devices_not_enforced,
    no_accounting,
    processes_outlive_jobs,
)
"""One example of each, for documentation and tests."""
