"""``login``, ``logout``, ``signup``."""

import os
import platform
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from zhisuan.base.errors import Forbidden, NotAuthenticated
from zhisuan.cli.credentials import DEFAULT_URL, Profile, read_credentials, write_credentials
from zhisuan.cli.errors import usage_error
from zhisuan.cli.output import Screen, show
from zhisuan.cli.params import JsonFlag, PasswordStdin, ask, read_password
from zhisuan.cli.session import open_client, profile_asked_for
from zhisuan.cli.text import language, opt, state, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import Credential, Me

KEY_PREFIX = "zsk_"
Url = Annotated[str | None, opt("--url", metavar="URL", en="Address of the platform.", zh="平台地址。")]


def login(
    url: Url = None,
    key: Annotated[str | None, opt("--key", metavar="KEY", en="An API key (zsk_…).", zh="API 密钥（zsk_…）。")] = None,
    email: Annotated[
        str | None,
        opt("--email", metavar="ADDRESS", en="Sign in with this address and a password.", zh="用此邮箱和密码登录。"),
    ] = None,
    password_stdin: PasswordStdin = False,
    as_json: JsonFlag = False,
) -> None:
    if key and email:
        raise usage_error("--key and --email are two ways to sign in; give one.", "--key 与 --email 只能使用其一。")
    name, address = _profile_name(), _address(url)
    if not key and not email:
        given = ask(t("E-mail or API key", "邮箱或 API 密钥"), otherwise="--key / --email")
        key, email = (given, None) if given.startswith(KEY_PREFIX) else (None, given)
    made = _key_by_password(address, email, read_password(password_stdin)) if email else None
    secret = made.secret if made else key or ""
    with open_client(address, secret) as client:
        me = client.me()
    _store(name, Profile(address, secret, made.id if made else None), me, as_json)


def _key_by_password(address: str, email: str, password: str) -> "Credential":
    """A key of this person, made in a session that ends here: sessions last hours, and the gateway takes keys only."""
    with open_client(address, None) as client:
        session = client.sign_in(email, password).secret
    with open_client(address, session) as client:
        made = client.create_key(f"zhisuan login, {platform.node()}"[:100])
        if made.lost:
            client.revoke_key(made.id)
            made = client.create_key(f"zhisuan login, {platform.node()}"[:100])
        client.sign_out()
    return made


def _store(name: str, profile: Profile, me: "Me", as_json: bool) -> None:
    url, email = profile.url, me.user.email if me.user else None
    path = write_credentials(
        read_credentials().with_profile(name, replace(profile, organisation=me.organisation.name, email=email))
    )
    document = {
        "profile": name,
        "url": url,
        "organisation": me.organisation.as_json(),
        "role": me.role,
        "file": str(path),
    }

    def draw(screen: Screen) -> None:
        screen.line(
            t(
                f"Signed in to {url} as {me.role} of {me.organisation.name} ({state(me.organisation.kind)}).",
                f"已登录 {url}：{me.organisation.name}（{state(me.organisation.kind)}），角色 {me.role}。",
            )
        )
        screen.note(t(f"The key is in {path} (profile {name}).", f"密钥保存在 {path}（配置 {name}）。"))

    show(as_json, document, draw)


def logout(as_json: JsonFlag = False) -> None:
    stored = read_credentials()
    name = _profile_name()
    profile = stored.profiles.get(name) or Profile(DEFAULT_URL)
    # Forgotten first: that much holds even when the platform cannot be reached.
    if profile.key:
        write_credentials(stored.without_key(name))
    revoked = _revoke(profile)

    def draw(screen: Screen) -> None:
        if profile.key:
            screen.line(t(f"Signed out (profile {name}).", f"已退出登录（配置 {name}）。"))
        else:
            screen.line(t(f"Profile {name} was not signed in.", f"配置 {name} 并未登录。"))
        if profile.key_id and not revoked:
            screen.note(
                t(
                    f"Your role may not revoke keys: ask an owner to revoke {profile.key_id}.",
                    f"您的角色无权吊销密钥：请组织所有者吊销 {profile.key_id}。",
                )
            )
        if os.environ.get("ZHISUAN_API_KEY"):
            screen.note(
                t("ZHISUAN_API_KEY is still set and goes on being used.", "环境变量 ZHISUAN_API_KEY 仍然有效。")
            )

    show(as_json, {"profile": name, "signed_out": bool(profile.key), "key_revoked": revoked}, draw)


def _revoke(profile: Profile) -> bool:
    """Revoke the key that signing in made; whether it is void now."""
    if not (profile.key and profile.key_id):
        return False
    with open_client(profile.url, profile.key) as client:
        try:
            client.revoke_key(profile.key_id)
        except NotAuthenticated:
            return True
        except Forbidden:
            return False
    return True


def sign_up(
    organisation: Annotated[
        str, opt("--organisation", metavar="NAME", en="Name of the organisation.", zh="组织名称。")
    ],
    email: Annotated[str, opt("--email", metavar="ADDRESS", en="Your address.", zh="您的邮箱。")],
    name: Annotated[str, opt("--name", metavar="NAME", en="Your name.", zh="您的姓名。")],
    kind: Annotated[
        str,
        opt(
            "--kind",
            metavar="tenant|provider",
            en="What the organisation is.",
            zh="组织类型：tenant 租户，provider 提供方。",
        ),
    ] = "tenant",
    url: Url = None,
    password_stdin: PasswordStdin = False,
    as_json: JsonFlag = False,
) -> None:
    if kind not in ("tenant", "provider"):
        raise usage_error(f"--kind {kind}: it is tenant or provider.", f"--kind {kind}：只能是 tenant 或 provider。")
    profile, address = _profile_name(), _address(url)
    password = read_password(password_stdin, confirm=True)
    with open_client(address, None) as client:
        made = client.sign_up(kind, organisation, name, email, password, language=language())
    # The account stands even when the answer with its first key was lost on the way.
    key = _key_by_password(address, email, password) if made.key.lost else made.key
    with open_client(address, key.secret) as client:
        me = client.me()
    _store(profile, Profile(address, key.secret, key.id), me, as_json)


def _profile_name() -> str:
    return profile_asked_for() or os.environ.get("ZHISUAN_PROFILE") or read_credentials().current


def _address(url: str | None) -> str:
    known = read_credentials().profiles.get(_profile_name())
    chosen = url or os.environ.get("ZHISUAN_URL") or (known.url if known else DEFAULT_URL)
    return chosen.rstrip("/")
