"""Jobs that nobody needs any more but that Ray still knows: stopped and deleted there when it lets us.

Ray deletes only jobs that have ended, and the dashboard may be down; so each is a file until it is done.
"""

import time
from pathlib import Path

from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.ray.client import RayClient

_REST_SECONDS = 10.0
"""After a dashboard that did not answer, so that removing many runs does not wait for it each time."""
_AT_ONCE = 100


class Graves:
    def __init__(self, folder: Path, client: RayClient) -> None:
        self._folder = folder
        self._client = client
        self._failed = float("-inf")
        folder.mkdir(mode=0o700, exist_ok=True)

    def dig(self, submission_id: str) -> None:
        """Note that the job is not needed any more; it may also never have been there."""
        (self._folder / submission_id).touch(0o600)

    def tidy(self) -> None:
        """Delete what can be deleted now; what cannot waits for the next time."""
        if time.monotonic() < self._failed + _REST_SECONDS:
            return
        for grave in sorted(self._folder.iterdir())[:_AT_ONCE]:
            try:
                self._bury(grave)
            except EngineUnavailable:
                self._failed = time.monotonic()
                return

    def _bury(self, grave: Path) -> bool:
        gone = self._client.delete(grave.name)
        if gone:
            grave.unlink(missing_ok=True)
        else:
            self._client.stop(grave.name)
        return gone
