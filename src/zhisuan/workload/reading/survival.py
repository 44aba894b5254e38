"""The fields that say what happens to work that is interrupted."""

from typing import Any

from zhisuan.workload.reading.reader import DURATION, SECONDS, WHOLE, Reader, is_whole, read_time
from zhisuan.workload.reading.refused import AUTOSTOP_REFUSED
from zhisuan.workload.survival import GRACE_SECONDS, Survival

GRACE_SECONDS_MIN, GRACE_SECONDS_MAX = 1, 600
CHECKPOINT_SECONDS_MIN, CHECKPOINT_SECONDS_MAX = 10, 86400
IDLE_MINUTES, IDLE_MINUTES_MAX = 5, 7 * 24 * 60
"""SkyPilot's ``autostop: true`` means five minutes."""
RETRIES_MAX = 20
EXIT_CODES_MAX = 64
STRATEGIES = frozenset({"failover", "eager_next_region"})
"""Both names of SkyPilot mean the same here: every attempt is placed anew over all sites."""


def read_survival(reader: Reader, data: dict[str, Any]) -> Survival:
    """From the fields below ``zhisuan:`` and ``resources:`` of the whole file; that they are mappings is checked elsewhere."""
    own, resources = (part if isinstance(part := data.get(name), dict) else {} for name in ("zhisuan", "resources"))
    retries, exit_codes = _read_recovery(reader, own, resources.get("job_recovery"))
    idle_minutes, idle_down = _read_autostop(reader, resources.get("autostop"))
    grace = _duration(reader, "zhisuan.grace", own.get("grace"), GRACE_SECONDS_MIN, GRACE_SECONDS_MAX)
    return Survival(
        checkpoint_seconds=_read_checkpoint(reader, own.get("checkpoint")),
        grace_seconds=GRACE_SECONDS if grace is None else grace,
        on_stop=_read_hook(reader, own.get("on_stop")),
        retries=retries,
        retry_exit_codes=exit_codes,
        spot=_read_flag(reader, "resources.use_spot", resources.get("use_spot")),
        stop_at=read_time(reader, "zhisuan.stop_at", own.get("stop_at")),
        idle_minutes=idle_minutes,
        idle_down=idle_down,
    )


def _between(value: Any, least: int, most: int) -> bool:
    return is_whole(value) and bool(least <= value <= most)


def _duration(reader: Reader, where: str, value: Any, least: int, most: int) -> int | None:
    if value is None:
        return None
    found = DURATION.fullmatch(str(value).strip()) if isinstance(value, str) or is_whole(value) else None
    seconds = int(found.group(1)) * SECONDS[found.group(2) or "s"] if found else -1
    if not least <= seconds <= most:
        reader.wrong(
            where,
            f"takes a time such as 30s, 5m or 1h, from {least}s to {most}s",
            f"须为 30s、5m、1h 之类的时长，范围 {least}s 到 {most}s",
        )
        return None
    return seconds


def _read_checkpoint(reader: Reader, value: Any) -> int | None:
    data = reader.mapping("zhisuan.checkpoint", value)
    reader.known("zhisuan.checkpoint.", data, {"every"}, {})
    return _duration(
        reader, "zhisuan.checkpoint.every", data.get("every"), CHECKPOINT_SECONDS_MIN, CHECKPOINT_SECONDS_MAX
    )


def _read_hook(reader: Reader, value: Any) -> str | None:
    hook = reader.text("zhisuan.on_stop", value)
    if hook is not None and "\0" in hook:
        reader.wrong("zhisuan.on_stop", "holds a zero byte, which no shell accepts", "包含零字节，shell 无法执行")
        return None
    return hook or None


def _read_flag(reader: Reader, where: str, value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        reader.wrong(where, "is true or false", "须为 true 或 false")
        return False
    return value


def _read_recovery(reader: Reader, own: dict[str, Any], value: Any) -> tuple[int, tuple[int, ...]]:
    """``zhisuan.retries`` and SkyPilot's ``job_recovery``: a strategy's name, or a mapping with it."""
    data = {"strategy": value} if value is None or isinstance(value, str) else reader.mapping("resources.job_recovery", value)
    reader.known("resources.job_recovery.", data, {"strategy", "max_restarts_on_errors", "recover_on_exit_codes"}, {})
    strategy = data.get("strategy")
    if strategy is not None and (not isinstance(strategy, str) or strategy.lower() not in STRATEGIES):
        reader.wrong(
            "resources.job_recovery.strategy",
            "takes FAILOVER or EAGER_NEXT_REGION, which mean the same here: every attempt is placed anew over all sites",
            "只支持 FAILOVER 或 EAGER_NEXT_REGION；两者在此含义相同：每次尝试都在全部站点中重新放置",
        )
    if "retries" in own and "max_restarts_on_errors" in data:
        reader.wrong(
            "zhisuan.retries",
            "means the same as resources.job_recovery.max_restarts_on_errors; give one of them",
            "与 resources.job_recovery.max_restarts_on_errors 含义相同，只能填写一个",
        )
    where = "zhisuan.retries" if "retries" in own else "resources.job_recovery.max_restarts_on_errors"
    retries: Any = own.get("retries", data.get("max_restarts_on_errors", 0))
    if not _between(retries, 0, RETRIES_MAX):
        reader.wrong(where, f"is a whole number from 0 to {RETRIES_MAX}", f"须为 0 到 {RETRIES_MAX} 的整数")
        retries = 0
    return int(retries), _read_exit_codes(reader, data.get("recover_on_exit_codes", []))


def _read_exit_codes(reader: Reader, value: Any) -> tuple[int, ...]:
    codes = value if isinstance(value, list) else [value]
    if len(codes) > EXIT_CODES_MAX or not all(_between(code, 1, 255) for code in codes):
        reader.wrong(
            "resources.job_recovery.recover_on_exit_codes",
            f"takes exit codes from 1 to 255, at most {EXIT_CODES_MAX}",
            f"须为 1 到 255 的退出码，最多 {EXIT_CODES_MAX} 个",
        )
        return ()
    return tuple(sorted(set(codes)))


def _read_autostop(reader: Reader, value: Any) -> tuple[int | None, bool]:
    """SkyPilot's forms: true, minutes, ``30m`` or ``2h``, or a mapping with ``idle_minutes`` and ``down``."""
    if value is None or value is False:
        return None, False
    if value is True:
        return IDLE_MINUTES, False
    if isinstance(value, dict):
        data = reader.mapping("resources.autostop", value)
        reader.known("resources.autostop.", data, {"idle_minutes", "down"}, AUTOSTOP_REFUSED)
        down = _read_flag(reader, "resources.autostop.down", data.get("down", False))
        return _minutes(reader, "resources.autostop.idle_minutes", data.get("idle_minutes", IDLE_MINUTES)), down
    return _minutes(reader, "resources.autostop", value), False


def _minutes(reader: Reader, where: str, value: Any) -> int | None:
    minutes = -1
    if _between(value, 1, IDLE_MINUTES_MAX):
        minutes = value
    elif isinstance(value, str):
        found = DURATION.fullmatch(value.strip())
        if found is not None and found.group(2) in ("m", "h", "d"):
            minutes = int(found.group(1)) * SECONDS[found.group(2)] // 60
        elif WHOLE.fullmatch(value.strip()):
            minutes = int(value)
    if not 1 <= minutes <= IDLE_MINUTES_MAX:
        reader.wrong(
            where,
            f"takes idle minutes from 1 to {IDLE_MINUTES_MAX}, such as 30, 30m or 2h",
            f"须为 1 到 {IDLE_MINUTES_MAX} 的空闲分钟数，例如 30、30m、2h",
        )
        return None
    return minutes
