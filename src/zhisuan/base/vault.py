"""Values that must be read again and by nobody else: sealed with a key of the installation (Fernet: AES-128-CBC and
HMAC-SHA-256, by the ``cryptography`` library), so that a copy of the database alone gives none of them away."""

import hashlib
import hmac
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text

KEY_FILE = "seal.key"


class Vault:
    """``keys`` are Fernet keys (32 bytes, URL-safe base64): the first seals, all of them open, so that a new one can be put
    before an old one."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._fingerprint_key = hashlib.sha256(b"fingerprint\0" + keys[0].encode()).digest()

    @classmethod
    def of_installation(cls, folder: Path, keys: str | None) -> Self:
        """With the keys that are set (comma-separated), else with that of the data directory, made when there is none.

        Raises ``Unavailable`` for keys that are none.
        """
        path = folder / KEY_FILE
        given = [key.strip() for key in keys.split(",")] if keys else [_kept_key(path)]
        try:
            return cls(given)
        except ValueError as error:
            name = "ZHISUAN_SEAL_KEYS" if keys else str(path)
            raise Unavailable(
                Text(f"{name} does not hold a key of 32 bytes in URL-safe base64.", f"{name} 不是 32 字节的 URL-safe base64 密钥。"),
                Text(
                    "Restore the key from a backup; what was sealed with it cannot be read without it.",
                    "请从备份恢复密钥；没有它就无法读取已加密的内容。",
                ),
                code="seal_key",
            ) from error

    def seal(self, value: bytes, at: datetime) -> bytes:
        return self._fernet.encrypt_at_time(value, int(at.timestamp()))

    def open(self, sealed: bytes) -> bytes:
        """Raises ``Unavailable`` for what was sealed with another key, or changed since."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise Unavailable(
                Text("A secret was sealed with a key that this server does not have.", "密钥所用的加密密钥不在此服务器上。"),
                Text(
                    "Give all servers the same ZHISUAN_SEAL_KEYS, or restore seal.key from a backup.",
                    "请为所有服务器设置相同的 ZHISUAN_SEAL_KEYS，或从备份恢复 seal.key。",
                ),
                code="seal_key",
            ) from error

    def fingerprint(self, value: str) -> str:
        """Tells two values apart without saying either; of no use without the key, also for a value that can be guessed."""
        return hmac.new(self._fingerprint_key, value.encode(), hashlib.sha256).hexdigest()


def _kept_key(path: Path) -> str:
    """The key in the file. Two servers that make it at once end with one: a file is linked into place once only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(handle)
        try:
            os.link(partial, path)
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    return path.read_text("ascii", "replace").strip()
