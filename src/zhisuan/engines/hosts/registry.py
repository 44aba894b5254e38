"""Which hosts belong to the site, and the tokens by which further ones may come. Files, so that the command line can make
a token while the agent runs and while it does not.

``tokens/<digest of the token>`` · ``members/<name>.json`` · ``certificate/``, below the engine's root.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter

from zhisuan.base.secrets import digest, same
from zhisuan.engines.hosts.certificate import Certificate
from zhisuan.engines.hosts.messages import Introduction
from zhisuan.engines.local import records
from zhisuan.engines.local.locks import locked
from zhisuan.engines.local.run_state import milliseconds

TOKEN_HOURS = 24
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")


class JoinDenied(Exception):
    """Why a host may not join; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Member:
    """One host of the site. ``told``: what it last said of itself."""

    hostname: str
    credential_digest: str
    joined_at: datetime
    told: Introduction | None = None


_MEMBER = TypeAdapter(Member)


class Registry:
    """``root`` is the engine's."""

    def __init__(self, root: Path) -> None:
        self._tokens = root / "tokens"
        self._members = root / "members"
        for folder in (root, self._tokens, self._members):
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        self._lock = self._members / ".lock"
        self.certificate = Certificate(root / "certificate")

    # Tokens

    def invite(self, secret: str, now: datetime) -> str:
        """The token for one host: ``secret``, which nobody else has, and the digest of the head's certificate."""
        token = f"{secret}.{self.certificate.fingerprint()}"
        expires = now + timedelta(hours=TOKEN_HOURS)
        records.write_atomic(str(self._tokens / digest(token)), [("expires_ms", str(milliseconds(expires)))])
        return token

    def join(self, token: str, hostname: str, credential_digest: str, now: datetime) -> None:
        """The same token with the same credential is answered alike, so a daemon killed before it heard the answer can ask
        again. Raises JoinDenied."""
        if not _NAME.fullmatch(hostname):
            raise JoinDenied(
                "bad_name", f"{hostname!r} cannot be a host's name: letters, digits, '-' and '.', at most 63"
            )
        with locked(self._lock):
            path = self._tokens / digest(token)
            found = dict(records.read(str(path)) or [])
            if not found:
                raise JoinDenied(
                    "token_unknown", "this token was not made by this head; make one with: zhisuan site host-token"
                )
            if "used_by" in found:
                if same(found["used_by"], f"{hostname} {credential_digest}"):
                    return
                raise JoinDenied("token_used", "this token has been used; every host needs one of its own")
            if int(found["expires_ms"]) < milliseconds(now):
                raise JoinDenied("token_expired", f"this token is older than {TOKEN_HOURS} hours; make another")
            if self._path(hostname).exists():
                raise JoinDenied(
                    "name_taken",
                    f"the site has a host {hostname} already; remove it first (zhisuan site host-remove), or choose another --name",
                )
            self._keep(Member(hostname, credential_digest, now))
            records.write_atomic(str(path), [*found.items(), ("used_by", f"{hostname} {credential_digest}")])

    # Members

    def _path(self, hostname: str) -> Path:
        return self._members / f"{hostname}.json"

    def _keep(self, member: Member) -> None:
        making = self._members / f".{member.hostname}.tmp"
        making.write_bytes(_MEMBER.dump_json(member))
        making.chmod(0o600)
        making.rename(self._path(member.hostname))

    def members(self) -> dict[str, Member]:
        """By name."""
        found = {}
        for path in sorted(self._members.glob("[!.]*.json")):
            try:
                found[path.stem] = _MEMBER.validate_json(path.read_bytes())
            except FileNotFoundError:
                continue
        return found

    def by_credential(self, credential: str) -> Member | None:
        mine = digest(credential)
        return next((one for one in self.members().values() if same(one.credential_digest, mine)), None)

    def told(self, hostname: str, what: Introduction) -> None:
        """Nothing happens to a host that was removed meanwhile."""
        with locked(self._lock):
            member = self.members().get(hostname)
            if member is not None:
                self._keep(replace(member, told=what))

    def remove(self, hostname: str) -> bool:
        """Whether there was one: its credential is worth nothing from now on."""
        with locked(self._lock):
            there = self._path(hostname).exists()
            self._path(hostname).unlink(missing_ok=True)
            return there
