"""What may be wrong with a Ray cluster, in both languages, each with its remedy."""

from zhisuan.engines.contract import Problem


def not_isolated() -> Problem:
    return Problem(
        "ray_not_isolated",
        "Ray runs work as ordinary processes of its own user: runs of different tenants can see each other's files and "
        "processes.",
        "Ray 以其自身用户的普通进程运行作业：不同租户的作业可以看到彼此的文件与进程。",
        "Take only tenants who trust each other on this site (allow_unisolated), or give each tenant a cluster of its own.",
        "此站点只接受彼此信任的租户（allow_unisolated），或为每个租户提供独立的集群。",
    )


def memory_watched() -> Problem:
    return Problem(
        "ray_memory_watched",
        "Ray's memory and CPU resources only count; the memory of a run is measured once a second and the run ended when "
        "it is above its limit, and CPU is not limited.",
        "Ray 的内存与 CPU 资源只用于计数；作业内存每秒测量一次，超限即结束作业，CPU 不受限制。",
        "Leave some memory of each node out of Ray (ray start --memory …), so that a burst does not harm others.",
        "请在每个节点为 Ray 之外预留一部分内存（ray start --memory …），以免瞬时超用影响他人。",
    )


def no_usable_node() -> Problem:
    return Problem(
        "ray_no_usable_node",
        "The Ray cluster has no living node.",
        "Ray 集群中没有存活的节点。",
        "Start its nodes: ray start --head on the first, ray start --address=… on the others.",
        "请启动节点：首个节点运行 ray start --head，其余节点运行 ray start --address=…。",
    )


def nodes_dead(names: str) -> Problem:
    return Problem(
        "ray_nodes_dead",
        f"Ray counts these nodes as dead: {names}.",
        f"Ray 认为以下节点已失效：{names}。",
        "Look at ray status and at the nodes themselves; start Ray there again.",
        "请查看 ray status 与节点本身，并在这些节点上重新启动 Ray。",
    )
