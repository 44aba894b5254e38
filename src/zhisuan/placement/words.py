"""The constraints of a need said in words."""

from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.placement.types import Need, Rejection

RAISE_PRICE = Text("raise zhisuan.price_max", "提高 zhisuan.price_max")
RAISE_CARBON = Text(
    "raise zhisuan.carbon_max or zhisuan.carbon_per_card_max", "提高 zhisuan.carbon_max 或 zhisuan.carbon_per_card_max"
)


def yuan(ucny: int) -> str:
    """``¥4.20``: to the fen where that is exact, else as exact as it is."""
    return f"¥{decimal_text(ucny, 6, at_least=2)}"


def grams(mg: int) -> str:
    return f"{decimal_text(mg, 3)} gCO2e"


def degrees(udu: int) -> str:
    return f"{decimal_text(udu, 6)} 度"


def _price_most(need: Need) -> Text:
    said = [yuan(need.price_max_ucny)] if need.price_max_ucny is not None else []
    said += [degrees(need.rate_max_udu)] if need.rate_max_udu is not None else []
    return Text(" or ".join(said), "或".join(said))


def rejection(name: str, count: int, need: Need, *, permanent: bool) -> Rejection:
    """What ``count`` nodes fail of ``need``, and what would let them back in."""
    text, unblock = (_of_size(need) | _of_now(need) | _of_ceilings(need))[name]
    return Rejection(name, count, permanent, text, unblock)


Words = dict[str, tuple[Text, Text]]


def _of_size(need: Need) -> Words:
    """What a node could not give even empty."""
    cards = ", ".join(f"{n}:{c}" for n, c in need.accelerators)
    cores, gib = f"{need.cpus_milli / 1000:g}", f"{need.memory_mib / 1024:g}"
    return {
        "accelerator_class": (
            Text(f"they have no {cards}", f"没有 {cards}"),
            Text(
                "ask for another accelerator; `zhisuan catalog` lists the classes",
                "换用其他加速卡；zhisuan catalog 列出全部型号",
            ),
        ),
        "device_memory": (
            Text(
                f"their cards have less than {need.device_memory_mib / 1024:g} GiB of memory each",
                f"每卡显存少于 {need.device_memory_mib / 1024:g} GiB",
            ),
            Text("ask for less device memory (zhisuan.device_memory)", "减小每卡显存要求（zhisuan.device_memory）"),
        ),
        "rated": (
            Text(f"their {cards} has no published rate yet", f"{cards} 尚无公布的 度 费率"),
            Text("the operator publishes a rate", "由运营方公布费率"),
        ),
        "accelerator_capacity": (
            Text(f"they have fewer cards than {cards}", f"卡数少于 {cards}"),
            Text("ask for fewer cards", "减少卡数"),
        ),
        "cpu_capacity": (
            Text(f"they have fewer than {cores} cores", f"核数少于 {cores}"),
            Text("ask for fewer cores", "减少核数"),
        ),
        "memory_capacity": (
            Text(f"they have less than {gib} GiB of memory", f"内存少于 {gib} GiB"),
            Text("ask for less memory", "减少内存"),
        ),
        "gang_capacity": (
            Text(
                f"their site cannot give {need.nodes} such nodes to one workload",
                f"所在站点无法为一个作业提供 {need.nodes} 个这样的节点",
            ),
            Text("ask for fewer nodes", "减少节点数"),
        ),
    }


def _of_now(need: Need) -> Words:
    """What may change by itself."""
    cards = ", ".join(f"{n}:{c}" for n, c in need.accelerators)
    cores, gib = f"{need.cpus_milli / 1000:g}", f"{need.memory_mib / 1024:g}"
    return {
        "site_open": (
            Text("their site is not open for work", "所在站点未开放"),
            Text("the operator opens the site", "由运营方开放站点"),
        ),
        "offered": (
            Text("their provider does not offer them now", "提供方当前未开放这些设备"),
            Text("their next offer window opens", "等待下一个开放时段"),
        ),
        "node_present": (
            Text("the node was not in its site's last report", "节点未出现在站点最近一次上报中"),
            Text("the provider brings the node back", "由提供方恢复节点"),
        ),
        "isolation": (
            Text("they cannot isolate tenants' work", "无法隔离租户作业"),
            Text(
                "the site installs what `zhisuan doctor` names, or its operator allows unisolated work",
                "站点安装 zhisuan doctor 指出的组件，或由其运营者允许非隔离运行",
            ),
        ),
        "jupyterlab": (
            Text("their site does not offer JupyterLab", "所在站点不提供 JupyterLab"),
            Text(
                "start a shell workspace instead (zhisuan.workspace: shell), or wait until a site offers JupyterLab",
                "改用终端工作空间（zhisuan.workspace: shell），或等待有站点提供 JupyterLab",
            ),
        ),
        "reachable": (
            Text("their site has not been heard from", "站点失联"),
            Text("the site comes back", "等待站点恢复"),
        ),
        "cpu_free": (
            Text(f"fewer than {cores} cores are free now", f"当前空闲核数不足 {cores}"),
            Text("other work there ends", "等待其他作业结束"),
        ),
        "memory_free": (
            Text(f"less than {gib} GiB of memory is free now", f"当前空闲内存不足 {gib} GiB"),
            Text("other work there ends", "等待其他作业结束"),
        ),
        "accelerator_free": (
            Text(f"fewer free cards than {cards} now", f"当前空闲卡不足 {cards}"),
            Text("other work there ends", "等待其他作业结束"),
        ),
        "gang_free": (
            Text(
                f"their site has fewer than {need.nodes} such nodes free now",
                f"所在站点当前空闲的此类节点不足 {need.nodes} 个",
            ),
            Text("other work there ends", "等待其他作业结束"),
        ),
    }


def _of_ceilings(need: Need) -> Words:
    most, carbon = _price_most(need), grams(need.carbon_most_mg or 0)
    return {
        "price_least": (
            Text(f"they come to more than {most.en} an hour even at their cheapest", f"最低价格也高于每小时 {most.zh}"),
            RAISE_PRICE,
        ),
        "price_max": (
            Text(f"what is free there comes to more than {most.en} an hour", f"当前空闲设备的价格高于每小时 {most.zh}"),
            RAISE_PRICE,
        ),
        "carbon_least": (
            Text(f"they come to more than {carbon} an hour even at their lowest", f"最低碳排放也高于每小时 {carbon}"),
            RAISE_CARBON,
        ),
        "carbon_max": (
            Text(f"what is free there comes to more than {carbon} an hour", f"当前空闲设备的碳排放高于每小时 {carbon}"),
            RAISE_CARBON,
        ),
    }
