"""Site agent → server: the checkpoint folder of a run.

| call | message | answer |
| --- | --- | --- |
| POST /wire/v1/checkpoints/{lease_id}/{generation} | CheckpointList: all files of the folder | CheckpointAnswer: what is missing, or the checkpoint that this has become |
| PUT /wire/v1/checkpoints/{lease_id}/{generation}/{sha256} | a missing file's bytes | 204 |

The list becomes the current checkpoint only in a call that finds all its bytes there, so a delivery that breaks off changes
nothing. The same list again is the same checkpoint.
"""

from pydantic import Field

from zhisuan.wire.common import Message

FILES_MAX = 10_000


class CheckpointFile(Message):
    path: str = Field(min_length=1, max_length=500)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0, le=2**62)


class CheckpointList(Message):
    files: tuple[CheckpointFile, ...] = Field(min_length=1, max_length=FILES_MAX)


class CheckpointAnswer(Message):
    """``checkpoint_id`` is set when nothing was ``missing``."""

    missing: tuple[str, ...] = ()
    checkpoint_id: str | None = None
    number: int = 0
    size_bytes: int = 0
    new_bytes: int = 0
