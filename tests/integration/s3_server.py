"""A real S3-compatible server process (moto's), on loopback."""

import subprocess
import sys
import time
from pathlib import Path

import httpx

from zhisuan.base.settings import Settings
from zhisuan.testing.servers import free_port

BUCKET = "zhisuan-test"


class S3Server:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "s3.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], stdout=log, stderr=log
            )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if httpx.put(f"{self.url}/{BUCKET}", trust_env=False).status_code in (200, 409):
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(self._log.read_text())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def objects(self, prefix: str = "") -> list[str]:
        """Keys in the bucket, and unfinished multipart uploads as ``uploading KEY``."""
        import re

        found = httpx.get(f"{self.url}/{BUCKET}", params={"prefix": prefix}, trust_env=False).text
        going = httpx.get(f"{self.url}/{BUCKET}?uploads", trust_env=False).text
        keys = re.findall(r"<Key>([^<]+)</Key>", found)
        return keys + [f"uploading {k}" for k in re.findall(r"<Key>([^<]+)</Key>", going)]

    def settings(self, **more: object) -> Settings:
        given = {
            "artefact_url": f"s3://{BUCKET}/city", "artefact_endpoint": self.url, "artefact_access_key": "testing-key",
            "artefact_secret_key": "testing-secret", "artefact_region": "us-east-1",
        }  # fmt: skip
        return Settings.model_validate({**given, **more})
