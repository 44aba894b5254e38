"""The head's own certificate, made once. Hosts know it by its digest, which stands in the token: no authority is needed,
and nobody else on the network can pass for the head."""

import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from zhisuan.engines.local.locks import locked

_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
_DAYS = 365 * 100


class Certificate:
    """In ``folder``: ``certificate.pem`` and ``key.pem``, the latter for its owner only."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._pem = folder / "certificate.pem"
        self._key = folder / "key.pem"
        with locked(folder / "lock"):
            if not self._pem.exists():
                self._make()

    def _make(self) -> None:
        """The key first: a certificate that is there has its key. It does not expire by date: what ends it is a new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "zhisuan site head")])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_BEGIN)
            .not_valid_after(_BEGIN + timedelta(days=_DAYS))
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        _write(
            self._key,
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        )
        _write(self._pem, made.public_bytes(pem))

    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self._pem.read_text("ascii"))).hexdigest()

    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.load_cert_chain(self._pem, self._key)
        return made


def _write(path: Path, content: bytes) -> None:
    making = path.with_suffix(".tmp")
    fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    making.rename(path)
