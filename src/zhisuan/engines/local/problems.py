"""What may be wrong with a host, in both languages, each with its remedy."""

from collections.abc import Callable

from zhisuan.engines.contract import Problem


def bwrap_missing() -> Problem:
    return Problem(
        "bwrap_missing",
        "The program bwrap (bubblewrap) is not installed, so tenants' work cannot be isolated.",
        "未安装 bwrap（bubblewrap），无法隔离租户的作业。",
        "Install it, for example: apt-get install bubblewrap, or dnf install bubblewrap.",
        "请安装，例如：apt-get install bubblewrap 或 dnf install bubblewrap。",
    )


def bwrap_too_old(version: str) -> Problem:
    return Problem(
        "bwrap_too_old",
        f"bubblewrap {version} cannot forbid nested user namespaces; 0.8.0 or newer is needed.",
        f"bubblewrap {version} 不能禁止嵌套用户命名空间，需要 0.8.0 或更高版本。",
        "Upgrade bubblewrap, or build a newer release from its source.",
        "请升级 bubblewrap，或从源码构建新版本。",
    )


def setpriv_missing() -> Problem:
    return Problem(
        "setpriv_missing",
        "The program setpriv (util-linux) is missing, so root cannot give a run a user id of its own.",
        "缺少 setpriv（util-linux），root 无法为作业切换到独立的用户 ID。",
        "Install util-linux, or start the site agent as an ordinary user.",
        "请安装 util-linux，或以普通用户启动站点代理。",
    )


def sandbox_refused(detail: str) -> Problem:
    return Problem(
        "sandbox_refused",
        f"The host does not let bwrap make a sandbox: {detail}",
        f"主机不允许 bwrap 建立沙箱：{detail}",
        "Allow unprivileged user namespaces (sysctl user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1, "
        "kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for bwrap); in a container, run it with "
        "/proc unmasked and a seccomp profile that allows user namespaces.",
        "请允许非特权用户命名空间（sysctl user.max_user_namespaces 大于 0、kernel.unprivileged_userns_clone=1、"
        "kernel.apparmor_restrict_unprivileged_userns=0，或为 bwrap 配置 AppArmor 规则）；"
        "若在容器中运行，请取消对 /proc 的屏蔽，并使用允许用户命名空间的 seccomp 配置。",
    )


def uid_range_unmapped(first: int, last: int) -> Problem:
    return Problem(
        "uid_range_unmapped",
        f"User ids {first} to {last} do not exist in this container's user namespace.",
        f"当前容器的用户命名空间中没有用户 ID {first} 到 {last}。",
        "Set uid_base and uid_count to a range that /proc/self/uid_map holds, or run the agent outside the container.",
        "请将 uid_base 与 uid_count 设为 /proc/self/uid_map 所含的范围，或在容器之外运行代理。",
    )


def not_root() -> Problem:
    return Problem(
        "not_root",
        "The agent does not run as root, so all runs share its user id.",
        "代理未以 root 运行，所有作业共用代理的用户 ID。",
        "For a user id per run, start the site agent as root; it drops root before any tenant's work begins.",
        "若要每个作业使用独立用户 ID，请以 root 启动站点代理；租户作业开始前代理会放弃 root 权限。",
    )


def cgroup_unavailable(detail: str) -> Problem:
    return Problem(
        "cgroup_unavailable",
        f"No control group can be made, so memory and CPU limits are not enforced: {detail}",
        f"无法创建控制组，内存与 CPU 限额不会强制执行：{detail}",
        "Run the agent as root with a writable /sys/fs/cgroup, or as a systemd service with Delegate=yes and "
        "DelegateSubgroup=agent.",
        "请以 root 运行代理并保证 /sys/fs/cgroup 可写，或作为 systemd 服务运行并设置 Delegate=yes 与 DelegateSubgroup=agent。",
    )


def controller_missing(controller: str) -> Problem:
    return Problem(
        f"cgroup_{controller}_missing",
        f"The control group controller '{controller}' is not available here, so its limit is not enforced.",
        f"此主机没有可用的控制组控制器“{controller}”，对应的限额不会强制执行。",
        f"Switch the controller on (kernel command line, or DelegateControllers={controller} in the systemd unit).",
        f"请启用该控制器（内核启动参数，或在 systemd 单元中设置 DelegateControllers={controller}）。",
    )


def runtime_prefix_missing(path: str) -> Problem:
    return Problem(
        "runtime_prefix_missing",
        f"The runtime folder {path} does not exist; jobs will not find it.",
        f"运行环境目录 {path} 不存在，作业中将无法使用。",
        "Create it, or take it out of runtime_prefixes.",
        "请创建该目录，或将其从 runtime_prefixes 中移除。",
    )


def runtime_unreadable(path: str) -> Problem:
    return Problem(
        "runtime_unreadable",
        f"{path} is closed to other users, so a run with a user id of its own cannot read it.",
        f"{path} 不允许其他用户读取，使用独立用户 ID 的作业无法访问。",
        f"Open it for reading: chmod -R o+rX {path}",
        f"请开放读取权限：chmod -R o+rX {path}",
    )


def bash_missing() -> Problem:
    return Problem(
        "bash_missing",
        "bash is not installed; setup and run are bash scripts.",
        "未安装 bash；setup 与 run 都是 bash 脚本。",
        "Install bash.",
        "请安装 bash。",
    )


ALL: tuple[Callable[[], Problem], ...] = (
    bwrap_missing,
    setpriv_missing,
    not_root,
    bash_missing,
    lambda: bwrap_too_old("0.0"),
    lambda: sandbox_refused("…"),
    lambda: uid_range_unmapped(1, 2),
    lambda: cgroup_unavailable("…"),
    lambda: controller_missing("memory"),
    lambda: runtime_prefix_missing("…"),
    lambda: runtime_unreadable("…"),
)
"""One example of each, for documentation and tests."""
