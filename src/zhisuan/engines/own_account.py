"""The account of an engine whose books are its runs' own records of their end."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from zhisuan.engines.contract import EngineAccount, Observation
from zhisuan.engines.errors import UnknownRun

Key = tuple[str, int]
_MILLISECOND = timedelta(milliseconds=1)


def accounts_of_records(
    runs: Iterable[Key], observe: Callable[[str, int], Observation], source: str
) -> Mapping[Key, EngineAccount]:
    found = {}
    for key in runs:
        try:
            seen = observe(*key)
        except UnknownRun:
            continue
        if seen.started_at is None or seen.ended_at is None or seen.reason is None:
            continue
        found[key] = EngineAccount(
            source=source,
            reference=f"{key[0]}/{key[1]}",
            state=seen.reason.value,
            started_at=seen.started_at,
            ended_at=seen.ended_at,
            elapsed_milliseconds=max(0, (seen.ended_at - seen.started_at) // _MILLISECOND),
            cpu_milliseconds=seen.cpu_seconds_milli,
            nodes=1,
        )
    return found
