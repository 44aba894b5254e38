"""Whether the server can be reached from here, whether it is who it says, how far it is, and whether the clocks agree."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from zhisuan.app.findings import Finding, Verdict
from zhisuan.base.clock import Clock
from zhisuan.base.text import Text
from zhisuan.site.client import ServerClient
from zhisuan.site.config import AgentConfig
from zhisuan.site.errors import CredentialRevoked, Refused, Unreachable
from zhisuan.site.identity import Identity
from zhisuan.site.round_trip import Greeting, greet
from zhisuan.wire.joining import SiteStanding, TokenReport

CONNECT_SECONDS = 5.0
CERTIFICATE_DAYS = 14
CLOCK_WARN = timedelta(seconds=2)
CLOCK_STOP = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class ServerLook:
    """What was learnt of the server; ``standing`` is None where the folder's credential is not taken (any more)."""

    findings: tuple[Finding, ...]
    greeting: Greeting | None = None
    standing: SiteStanding | None = None


async def examine_server(
    config: AgentConfig, clock: Clock, *, token: str | None, identity: Identity | None, joins: bool
) -> ServerLook:
    """From the name to the credential; what comes after a failure is not tried. Who only looks (``joins`` false) need not
    have a token yet."""
    reached = await asyncio.to_thread(_reach, config)
    if reached.verdict == "fail":
        return ServerLook((reached,))
    client = ServerClient(config.server_url, ca_file=config.ca_file)
    try:
        greeting = await greet(client, clock, token)
        standing = await _standing(client, identity)
    except (Unreachable, Refused) as error:
        told = Finding(
            "server", "fail", Text(f"no platform answers there: {error.what.en}", f"该地址没有平台应答：{error.what.zh}"),
            Text("Check the address; it is that of the console and the API.", "请核对地址，应为控制台与 API 的地址。"),
        )  # fmt: skip
        return ServerLook((reached, told))
    finally:
        await client.close()
    findings = (
        reached,
        _version(greeting),
        _clock(greeting),
        *_token(greeting.answer.token, identity, standing, joins),
    )
    return ServerLook(findings, greeting, standing)


def _reach(config: AgentConfig) -> Finding:
    """Name, connection and certificate, by hand: each of them fails in its own way."""
    url = urlsplit(config.server_url)
    host, secure = url.hostname or "", url.scheme == "https"
    port = url.port or (443 if secure else 80)
    where = f"{host}:{port}"
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS) as plain:
            if secure:
                return _certificate(plain, host, config)
    except socket.gaierror as error:
        return _unreached(
            f"the name {host} is not known here ({error.strerror})", f"无法解析主机名 {host}（{error.strerror}）"
        )
    except TimeoutError:
        return _unreached(f"nothing answers at {where} within 5 s", f"{where} 在 5 秒内没有应答")
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message
        return Finding(
            "server", "fail", Text(f"the certificate of {where} is not trusted: {why}", f"{where} 的证书不受信任：{why}"),
            Text("If the platform uses its own authority, name its certificate with --ca-file; check this machine's clock too.",
                 "若平台使用自建 CA，请用 --ca-file 指定其证书；同时检查本机时钟。"),
        )  # fmt: skip
    except OSError as error:
        why = error.strerror or str(error)
        return _unreached(f"{where} cannot be reached: {why}", f"无法连接 {where}：{why}")
    if host in ("127.0.0.1", "::1", "localhost"):
        return Finding("server", "ok", Text(f"{where} is on this machine", f"{where} 位于本机"))
    return Finding(
        "server", "warn", Text(f"{where} is reached without encryption", f"以未加密方式连接 {where}"),
        Text("Use https: on the way anyone could read the site's credential.", "请改用 https，否则途中任何人都可能读到站点凭证。"),
    )  # fmt: skip


def _unreached(en: str, zh: str) -> Finding:
    return Finding(
        "server", "fail", Text(en, zh),
        Text("Check the address, DNS, and that this machine may connect out to it (a proxy or firewall may be between).",
             "请检查地址、DNS，以及本机能否向外连接该地址（中间可能有代理或防火墙）。"),
    )  # fmt: skip


def _certificate(plain: socket.socket, host: str, config: AgentConfig) -> Finding:
    context = ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file else None)
    with context.wrap_socket(plain, server_hostname=host) as secured:
        held = secured.getpeercert() or {}
        days = int((ssl.cert_time_to_seconds(str(held["notAfter"])) - time.time()) // 86_400)
        version = secured.version()
    what = Text(
        f"{host} is reached over {version}, its certificate is good for {days} days",
        f"已通过 {version} 连接 {host}，证书还有 {days} 天到期",
    )
    if days >= CERTIFICATE_DAYS:
        return Finding("server", "ok", what)
    told = Text("The platform's operator renews the certificate.", "请平台运营方更新证书。")
    return Finding("server", "warn", what, told)


def _version(greeting: Greeting) -> Finding:
    trip = greeting.round_trip
    return Finding(
        "round_trip", "ok",
        Text(f"platform {greeting.answer.version}, round trip {_ms(trip.median_us)} ms (best {_ms(trip.best_us)} ms)",
             f"平台 {greeting.answer.version}，往返时延 {_ms(trip.median_us)} 毫秒（最快 {_ms(trip.best_us)} 毫秒）"),
    )  # fmt: skip


def _ms(us: int) -> str:
    return f"{us // 1000}.{us % 1000 // 100}"


def _clock(greeting: Greeting) -> Finding:
    off = greeting.clock_ahead
    size = abs(off)
    verdict: Verdict = "ok" if size <= CLOCK_WARN else "warn" if size <= CLOCK_STOP else "fail"
    seconds = f"{size.total_seconds():.1f}"
    ahead = off > timedelta(0)
    what = Text(
        f"this machine's clock is {seconds} s {'ahead of' if ahead else 'behind'} the platform's",
        f"本机时钟比平台{'快' if ahead else '慢'} {seconds} 秒",
    )
    if verdict == "ok":
        return Finding("clock", "ok", Text("this machine's clock agrees with the platform's", "本机时钟与平台一致"))
    return Finding(
        "clock", verdict, what,
        Text("Metered time is this machine's, so work would not be counted as it ran: let NTP set it (timedatectl set-ntp true).",
             "计量以本机时间为准，时钟不准会导致用量无法正确计入：请启用 NTP 校时（timedatectl set-ntp true）。"),
    )  # fmt: skip


async def _standing(client: ServerClient, identity: Identity | None) -> SiteStanding | None:
    if identity is None or not identity.site_id:
        return None
    for credential in (identity.next_credential, identity.credential):
        if credential:
            client.credential = credential
            try:
                return await client.standing()
            except CredentialRevoked:
                continue
    return None


TOKEN_STATES = {
    "used": Text("the join token has been used before; each works once", "加入令牌已被使用过，每个令牌只能使用一次"),
    "expired": Text("the join token has expired", "加入令牌已过期"),
    "revoked": Text("the join token has been revoked", "加入令牌已被撤销"),
    "closed": Text("the site of the join token is closed", "加入令牌所属的站点已关闭"),
    "unknown": Text("the platform does not know the join token", "平台没有这个加入令牌"),
}
NEW_TOKEN = Text(
    "Get a new one: `zhisuan site token SITE`, or on the site's page in the console.",
    "请重新获取：zhisuan site token SITE，或在控制台的站点页面操作。",
)


def _token(
    token: TokenReport | None, identity: Identity | None, standing: SiteStanding | None, joins: bool
) -> Iterator[Finding]:
    if standing is not None:
        yield Finding(
            "site", "ok",
            Text(f"this folder is the site {standing.site_name} ({standing.site_id}), {standing.state}",
                 f"本目录属于站点 {standing.site_name}（{standing.site_id}），状态 {standing.state}"),
        )  # fmt: skip
        if token is not None and token.state == "valid" and token.site_id != standing.site_id:
            yield _other_site(standing.site_name, token)
        return
    known = identity if identity is not None and identity.site_id else None
    if token is None:
        what = (
            Text(
                f"the platform has revoked the credential of {known.site_name}",
                f"平台已吊销站点 {known.site_name} 的凭证",
            )
            if known
            else Text("this machine has not joined yet, and no join token was given", "本机尚未加入，且未提供加入令牌")
        )
        verdict: Verdict = "fail" if joins or known else "warn"
        yield Finding(
            "token", verdict, what, Text(f"{NEW_TOKEN.en} Give it with --token.", f"{NEW_TOKEN.zh}并用 --token 提供。")
        )
    elif token.state != "valid":
        yield Finding("token", "fail", TOKEN_STATES[token.state], NEW_TOKEN)
    elif known is not None and token.site_id != known.site_id:
        yield _other_site(known.site_name, token)
    else:
        yield Finding(
            "token", "ok",
            Text(f"the join token is good: site {token.site_name} ({token.site_id}), region {token.region}",
                 f"加入令牌有效：站点 {token.site_name}（{token.site_id}），地区 {token.region}"),
        )  # fmt: skip


def _other_site(name: str, token: TokenReport) -> Finding:
    return Finding(
        "token", "fail",
        Text(f"this folder is the site {name}'s, the join token is of {token.site_name}", f"本目录属于站点 {name}，而令牌属于 {token.site_name}"),
        Text("Choose a folder of its own for the other site with --data-dir.", "请用 --data-dir 为另一个站点另设目录。"),
    )  # fmt: skip
