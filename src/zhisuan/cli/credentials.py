"""Where this person's keys are: ``~/.config/zhisuan/credentials.json``, readable by its owner only.

| setting | decides |
| --- | --- |
| ``ZHISUAN_URL``, ``ZHISUAN_API_KEY`` | address and key, over any profile |
| ``--profile``, ``ZHISUAN_PROFILE`` | which profile is used; else the one signed in to last |

A stored key goes only to the address it was stored with: with ``ZHISUAN_URL`` naming another platform, the profile's
key stays at home.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from zhisuan.base.errors import InvalidInput, NotAuthenticated
from zhisuan.base.text import Text

DEFAULT_URL = "http://127.0.0.1:8620"
DEFAULT_PROFILE = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """One platform and who one is there. ``key_id`` is set for a key that signing in made, and that signing out
    revokes."""

    url: str
    key: str | None = None
    key_id: str | None = None
    organisation: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """All profiles and the one in use."""

    current: str = DEFAULT_PROFILE
    profiles: dict[str, Profile] = field(default_factory=dict)

    def with_profile(self, name: str, profile: Profile) -> "Credentials":
        return Credentials(current=name, profiles={**self.profiles, name: profile})

    def without_key(self, name: str) -> "Credentials":
        kept = self.profiles.get(name)
        return replace(self, profiles={**self.profiles, name: replace(kept, key=None, key_id=None)}) if kept else self


@dataclass(frozen=True, slots=True)
class Access:
    """What a call uses: address and key, and the profile they are of."""

    url: str
    key: str | None
    profile: str

    def require_key(self) -> str:
        """The key. Raises ``NotAuthenticated`` when there is none."""
        if self.key is None:
            raise NotAuthenticated(
                Text(f"Not signed in to {self.url}.", f"尚未登录 {self.url}。"),
                Text(
                    "Sign in with 'zhisuan login', make an account with 'zhisuan signup', or set ZHISUAN_API_KEY.",
                    "请用 zhisuan login 登录，用 zhisuan signup 注册，或设置环境变量 ZHISUAN_API_KEY。",
                ),
                code="not_signed_in",
            )
        return self.key


def credentials_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "zhisuan" / "credentials.json"


def read_credentials() -> Credentials:
    """What is stored; nothing when there is no file. Raises ``InvalidInput`` for a file that is not ours."""
    path = credentials_file()
    try:
        data = json.loads(path.read_text("utf-8"))
        profiles = {
            str(name): Profile(
                url=p["url"],
                key=p.get("key"),
                key_id=p.get("key_id"),
                organisation=p.get("organisation"),
                email=p.get("email"),
            )
            for name, p in data["profiles"].items()
        }
        return Credentials(current=str(data.get("current", DEFAULT_PROFILE)), profiles=profiles)
    except FileNotFoundError:
        return Credentials()
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise InvalidInput(
            Text(f"The credentials file {path} cannot be read: {error}.", f"无法读取凭据文件 {path}：{error}。"),
            Text("Delete it and sign in again with 'zhisuan login'.", "请删除该文件，再用 zhisuan login 重新登录。"),
            code="bad_credentials_file",
        ) from error


def write_credentials(credentials: Credentials) -> Path:
    """Store them, whole or not at all, for the owner's eyes only."""
    path = credentials_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {
        "current": credentials.current,
        "profiles": {name: asdict(profile) for name, profile in sorted(credentials.profiles.items())},
    }
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(handle, 0o600)
            json.dump(document, file, ensure_ascii=False, indent=2)
            file.write("\n")
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return path


def resolve_access(profile: str | None = None) -> Access:
    """Address and key by the table above."""
    stored = read_credentials()
    name = profile or os.environ.get("ZHISUAN_PROFILE") or stored.current
    known = stored.profiles.get(name)
    asked_by_name = bool(profile or os.environ.get("ZHISUAN_PROFILE"))
    url = os.environ.get("ZHISUAN_URL")
    key = os.environ.get("ZHISUAN_API_KEY") or None
    if known is None and asked_by_name and not (url and key):
        raise InvalidInput(
            Text(
                f"There is no profile {name!r} in {credentials_file()}.", f"{credentials_file()} 中没有配置 {name!r}。"
            ),
            Text(
                f"Known: {', '.join(sorted(stored.profiles)) or 'none'}. Make it with 'zhisuan --profile {name} login'.",
                f"现有：{'、'.join(sorted(stored.profiles)) or '无'}。可用 zhisuan --profile {name} login 创建。",
            ),
            code="no_such_profile",
        )
    if known and key is None and (url is None or url.rstrip("/") == known.url.rstrip("/")):
        key = known.key
    return Access(url=(url or (known.url if known else DEFAULT_URL)).rstrip("/"), key=key, profile=name)
