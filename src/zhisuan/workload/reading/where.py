"""``zhisuan.sites``, ``standby``, ``avoid_sites`` and ``region``: where the work may run."""

import re
from typing import Any

from zhisuan.workload.reading.reader import Reader, read_names
from zhisuan.workload.spec import Where

REGION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
WHERE = {"sites", "standby", "avoid_sites", "region"}


def read_where(reader: Reader, own: dict[str, Any]) -> Where:
    where = Where(
        sites=read_names(reader, own, "sites"), standby=read_names(reader, own, "standby"),
        avoid_sites=read_names(reader, own, "avoid_sites"), regions=read_regions(reader, own, "region"),
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
    return where


def read_regions(reader: Reader, own: dict[str, Any], field: str) -> tuple[str, ...]:
    regions = read_names(reader, own, field)
    for region in regions:
        if not REGION.fullmatch(region):
            reader.wrong(f"zhisuan.{field}", "takes provinces by ISO 3166-2, such as CN-AH", "须为 ISO 3166-2 省级代码，例如 CN-AH")
    return regions
