"""Secrets at rest: bearer secrets are long and random, so a plain SHA-256 of them is kept; passwords get argon2."""

import hashlib
import hmac
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()
# The hash of 256 random bits that nobody kept: what no password matches, in the time that any comparison takes.
NO_PASSWORD = _HASHER.hash(secrets.token_hex(32))


def digest(secret: str) -> str:
    """What the database keeps of a bearer secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(a: str, b: str) -> bool:
    """Comparison in constant time."""
    return hmac.compare_digest(a.encode(), b.encode())


def hash_password(password: str) -> str:
    return _HASHER.hash(password)


def password_matches(password: str, hashed: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
