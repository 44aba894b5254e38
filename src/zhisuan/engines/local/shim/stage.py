"""Mounts that only root can make: what lies under folders closed to others, brought to a place open to the run's user.

They live in this process's own mount namespace, so nothing of them is seen outside and they end with the sandbox.
Flag values: ``<sched.h>`` and ``<sys/mount.h>`` of Linux.
"""

import ctypes
import os
import stat

_CLONE_NEWNS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18


def _mount(libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, options: str | None) -> None:
    encoded = [os.fsencode(text) if text is not None else None for text in (source, target, kind)]
    last = options.encode() if options is not None else None
    if libc.mount(*encoded, ctypes.c_ulong(flags), last) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount of {source} at {target}: {os.strerror(number)}")


def stage(folder: str, sources: list[str]) -> None:
    """Make source ``i`` appear at ``<folder>/<i>``. Raises OSError naming the source that cannot be had."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare of the mount namespace: {os.strerror(number)}")
    _mount(libc, "none", "/", None, _MS_REC | _MS_PRIVATE, None)
    opened = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in sources]
    _mount(libc, "tmpfs", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    for index, fd in enumerate(opened):
        place = f"{folder}/{index}"
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.mkdir(place, 0o755)
        else:
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        _mount(libc, f"/proc/self/fd/{fd}", place, None, _MS_BIND | _MS_REC, None)
        os.close(fd)
