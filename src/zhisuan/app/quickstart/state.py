"""Where a quickstart is: kept in its data directory, so that an interrupted one goes on where it was."""

import secrets
from pathlib import Path
from typing import Any

import orjson

from zhisuan.app.installation import write_private
from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text


class RunState:
    """The facts of one run. Every call of the run carries an idempotency key made from ``run``, so whatever was cut off
    is simply asked again."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self._path = path
        self._data = data

    @classmethod
    def open(cls, path: Path, *, fresh: bool) -> "RunState":
        """The interrupted run in ``path``, or a new one after a finished one, or for ``fresh``."""
        if not path.exists():
            return cls._new(path)
        try:
            data = orjson.loads(path.read_bytes())
            done = bool(data["done"])
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Unavailable(
                Text(f"The file {path} is damaged.", f"文件 {path} 已损坏。"),
                Text(
                    "Delete it to begin a new run; the platform's own data is not touched.",
                    "删除该文件即可重新开始；平台自身的数据不受影响。",
                ),
                code="corrupt_data_directory",
            ) from error
        return cls._new(path) if done or fresh else cls(path, data)

    @classmethod
    def _new(cls, path: Path) -> "RunState":
        state = cls(path, {"run": secrets.token_hex(4), "password": secrets.token_urlsafe(16), "done": False})
        state._save()
        return state

    @property
    def run(self) -> str:
        return str(self._data["run"])

    @property
    def password(self) -> str:
        return str(self._data["password"])

    @property
    def continued(self) -> bool:
        return "began" in self._data

    def key(self, step: str) -> str:
        """The idempotency key of one call of this run."""
        return f"quickstart-{self.run}-{step}"

    def get(self, name: str) -> Any:
        return self._data.get(name)

    def keep(self, **facts: Any) -> None:
        self._data |= facts
        self._save()

    def _save(self) -> None:
        write_private(self._path, orjson.dumps(self._data, option=orjson.OPT_INDENT_2))
