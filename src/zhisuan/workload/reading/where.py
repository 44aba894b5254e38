"""``zhisuan.sites``, ``standby``, ``avoid_sites`` and ``region``: where the work may run."""

import re
from typing import Any

from zhisuan.workload.reading.reader import Reader
from zhisuan.workload.spec import Where

REGION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
SITES_MAX = 50
NAME_LENGTH_MAX = 200
WHERE = {"sites", "standby", "avoid_sites", "region"}


def read_where(reader: Reader, own: dict[str, Any]) -> Where:
    where = Where(
        sites=_names(reader, own, "sites"), standby=_names(reader, own, "standby"),
        avoid_sites=_names(reader, own, "avoid_sites"), regions=_names(reader, own, "region"),
    )  # fmt: skip
    if where.standby and not where.sites:
        reader.wrong(
            "zhisuan.standby",
            "needs zhisuan.sites: the primary site that it stands by for",
            "需同时填写 zhisuan.sites：其所备用的主站点",
        )
    for name in where.standby:
        if name in where.sites:
            reader.wrong("zhisuan.standby", f"{name} is a primary site already", f"{name} 已是主站点")
    for name in where.avoid_sites:
        if name in (*where.sites, *where.standby):
            reader.wrong("zhisuan.avoid_sites", f"{name} is also a site to run on", f"{name} 同时又是指定站点")
    for region in where.regions:
        if not REGION.fullmatch(region):
            reader.wrong("zhisuan.region", "takes provinces by ISO 3166-2, such as CN-AH", "须为 ISO 3166-2 省级代码，例如 CN-AH")
    return where


def _names(reader: Reader, own: dict[str, Any], field: str) -> tuple[str, ...]:
    """One name or a list of them, each once, in their order."""
    value = own.get(field)
    names = [value] if isinstance(value, str) else value
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(n, str) and 0 < len(n) <= NAME_LENGTH_MAX for n in names):
        reader.wrong(f"zhisuan.{field}", "takes one name or a list of names", "须为一个名称或名称列表")
        return ()
    if len(names) > SITES_MAX:
        reader.wrong(f"zhisuan.{field}", f"takes at most {SITES_MAX} names", f"最多 {SITES_MAX} 个名称")
        return ()
    return tuple(dict.fromkeys(names))
