"""The data directory of one installation: what is in it, who may use it, and the secrets its parts share."""

import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from zhisuan.base.errors import Conflict, Unavailable
from zhisuan.base.text import Text

SECRETS = ("gateway_credential", "storage_secret", "operator_password")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Shared by the processes of one installation; kept in ``secrets.json`` (0600)."""

    gateway_credential: str
    storage_secret: str
    operator_password: str


class Installation:
    """One data directory. ``lock`` keeps two platforms from using it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._lock: int | None = None

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def agent(self) -> Path:
        return self.folder / "site"

    @property
    def gateway_journal(self) -> Path:
        return self.folder / "gateway" / "journal.sqlite"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def runtime(self) -> Path:
        return self.folder / "runtime.json"

    def lock(self) -> None:
        """Make the folder and take it for this process. Raises ``Conflict`` while another process has it."""
        try:
            for folder in (self.folder, self.logs, self.gateway_journal.parent, self.agent):
                folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                Text(
                    f"The data directory {self.folder} cannot be used: {error.strerror}.",
                    f"无法使用数据目录 {self.folder}：{error.strerror}。",
                ),
                Text(
                    "Choose another one with --data-dir, or mend its rights.",
                    "请用 --data-dir 另选目录，或修正其权限。",
                ),
                code="data_directory",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise Conflict(
                Text(f"Another zhisuan runs on {self.folder}.", f"已有 zhisuan 在使用 {self.folder}。"),
                Text(
                    "Use that one, stop it, or choose another data directory with --data-dir.",
                    "请直接使用、先停止它，或用 --data-dir 另选目录。",
                ),
                code="data_directory_in_use",
            ) from error
        self._lock = handle

    def check(self) -> None:
        """Look at what is there without changing it. Raises ``Unavailable`` naming the part that is damaged."""
        if (self.folder / "secrets.json").exists():
            self.read_json(self.folder / "secrets.json", SECRETS)
        if self.postgres.exists() and not (self.postgres / "PG_VERSION").is_file():
            raise self._damaged(self.postgres)

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secrets(self) -> Secrets:
        """The installation's secrets, made at its first start. Raises ``Unavailable`` for a damaged file."""
        path = self.folder / "secrets.json"
        if not path.exists():
            write_private(path, orjson.dumps({name: secrets.token_urlsafe(24) for name in SECRETS}))
        return Secrets(**self.read_json(path, SECRETS))

    def read_json(self, path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
        try:
            data = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise self._damaged(path) from error
        if not isinstance(data, dict) or not set(needed) <= set(data):
            raise self._damaged(path)
        return {name: data[name] for name in needed}

    def _damaged(self, path: Path) -> Unavailable:
        return Unavailable(
            Text(f"The file {path} is damaged.", f"文件 {path} 已损坏。"),
            Text(
                "Restore it from a backup, or begin again with another data directory (--data-dir).",
                "请从备份恢复，或用 --data-dir 换一个数据目录重新开始。",
            ),
            code="corrupt_data_directory",
        )


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)
    partial.replace(path)
