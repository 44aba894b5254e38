"""What can be wrong with a site of several hosts, and how to mend it."""

from zhisuan.engines.contract import Problem


def no_host() -> Problem:
    return Problem(
        "no_host",
        "No host has joined this site yet, so there is nothing to offer.",
        "尚无主机加入本站点，没有可提供的算力。",
        "Make a token with 'zhisuan site host-token' and run the command it prints on every host.",
        "请用 zhisuan site host-token 生成令牌，并在每台主机上运行它给出的命令。",
    )


def host_away(name: str, note: str) -> Problem:
    return Problem(
        "host_away",
        f"The host {name} cannot be used now: {note}",
        f"主机 {name} 暂不可用：{note}",
        "Look at its daemon ('zhisuan site host') and at the network between it and the head.",
        "请检查该主机的守护进程（zhisuan site host）以及它与站点主节点之间的网络。",
    )


def no_gang_network() -> Problem:
    return Problem(
        "gang_network_none",
        "Ranks of one run on several hosts cannot reach each other: every sandbox has its own loopback alone.",
        "同一作业在多台主机上的各节点无法互相通信：每个沙箱只有自己的回环网络。",
        "For distributed training set gang_network: host, which shows such runs the hosts' own network; see docs/howto/site-hosts.md.",
        "如需分布式训练，请设置 gang_network: host，使此类作业可使用主机网络；见 docs/howto/site-hosts.md。",
    )


def gang_network_host() -> Problem:
    return Problem(
        "gang_network_host",
        "Runs over several hosts see the hosts' own network and all that can be reached from there.",
        "多主机作业可使用主机自身的网络，并能访问该网络可达的一切。",
        "Keep this to sites whose tenants are trusted, or put the hosts behind a firewall of their own.",
        "请仅在租户可信的站点使用，或将这些主机置于独立防火墙之后。",
    )


def clock_off(name: str, seconds: int) -> Problem:
    return Problem(
        "host_clock",
        f"The clock of the host {name} is {seconds} s off the head's; its times are corrected by that.",
        f"主机 {name} 的时钟与主节点相差 {seconds} 秒；其时间已按此修正。",
        "Set both by NTP.",
        "请用 NTP 校准两者的时钟。",
    )


def of_host(name: str, problem: Problem) -> Problem:
    return Problem(
        problem.code,
        f"{name}: {problem.message_en}",
        f"{name}：{problem.message_zh}",
        problem.remedy_en,
        problem.remedy_zh,
    )


def port_taken(where: str, why: str) -> Problem:
    return Problem(
        "hosts_port",
        f"The head cannot listen at {where}: {why}",
        f"主节点无法监听 {where}：{why}",
        "An agent of this site may be running already; else choose another port in the engine's options.",
        "本站点的代理可能已在运行；否则请在引擎选项中更换端口。",
    )
