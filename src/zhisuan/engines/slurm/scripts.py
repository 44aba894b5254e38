"""The scripts that the nodes run, laid into the shared folder once for each version of them."""

import hashlib
import os
from pathlib import Path

from zhisuan.engines.local.filesystem import etc_files

_SCRIPTS = Path(__file__).parent / "scripts"
_OWN_ETC = ("passwd", "group", "nsswitch.conf")


def install(lib: Path, uid: int) -> Path:
    """The folder of the scripts below ``lib``; jobs of an older version keep theirs. Raises OSError."""
    files = {path.name: path.read_bytes() for path in sorted(_SCRIPTS.glob("*.sh"))}
    etc = etc_files(uid)
    files |= {f"etc.{name}": etc[name].encode() for name in _OWN_ETC}
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
    folder = lib / digest
    if folder.is_dir():
        return folder
    making = lib / f".{digest}.{os.urandom(4).hex()}"
    making.mkdir(mode=0o755)
    making.chmod(0o755)
    for name, content in files.items():
        (making / name).write_bytes(content)
        (making / name).chmod(0o755 if name.endswith(".sh") else 0o644)
    try:
        making.rename(folder)
    except OSError:  # another process was first
        for path in making.iterdir():
            path.unlink()
        making.rmdir()
    return folder
