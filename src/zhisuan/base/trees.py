"""Trees of files and the one name each has, for the platform, its sites and its clients alike."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class File:
    """One file of a tree; its path is relative, with ``/``."""

    path: str
    mode: int
    size_bytes: int
    sha256: str


def manifest_digest(files: Iterable[File]) -> str:
    """SHA-256 over one line for each file, ``mode size sha256 path``, in the order of the paths' bytes: the same tree has the
    same digest wherever it comes from."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.path.encode()):
        digest.update(f"{file.mode:o} {file.size_bytes} {file.sha256} {file.path}\n".encode())
    return digest.hexdigest()
