"""What the gateway itself says where there is no workspace to answer: to a browser as a page, to others as JSON."""

from html import escape

import orjson
from starlette.types import Send

from zhisuan.base.text import Text

STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;margin:15vh auto;max-width:34rem;padding:0 1rem;color:#1c2733}"
    "p{margin:.4rem 0}.zh{color:#51606f}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


class NotServed(Exception):
    """An answer of the gateway's own. ``again_seconds``: the page looks again by itself. ``remedy``: what to do, where ``text`` does not
    say it."""

    def __init__(
        self, status: int, code: str, text: Text, *, again_seconds: int | None = None, remedy: Text | None = None
    ) -> None:
        super().__init__(text.en)
        self.status = status
        self.code = code
        self.text = text
        self.again_seconds = again_seconds
        self.remedy = remedy


def no_credential() -> NotServed:
    return NotServed(
        401,
        "not_signed_in",
        Text(
            "Open the workspace from the console, or with `zhisuan workspace open`; a link lasts for one browser.",
            "请在控制台打开工作空间，或使用 zhisuan workspace open；链接只对一个浏览器有效。",
        ),
    )


def not_found() -> NotServed:
    return NotServed(
        404,
        "not_found",
        Text(
            "There is no such workspace, or it is not yours. `zhisuan workspace list` shows yours.",
            "没有这个工作空间，或您无权使用。可用 zhisuan workspace list 查看自己的工作空间。",
        ),
    )


def used_link() -> NotServed:
    return NotServed(
        403,
        "link_used",
        Text(
            "This link was used already or is older than a minute. Open the workspace again.",
            "该链接已使用过或已超过一分钟。请重新打开工作空间。",
        ),
    )


def elsewhere() -> NotServed:
    return NotServed(
        403,
        "other_origin",
        Text("A page of another origin may not reach into a workspace.", "其他来源的页面不能访问工作空间。"),
    )


def not_ready(state: str) -> NotServed:
    waits = state == "waiting"
    return NotServed(
        503,
        "workspace_waiting" if waits else "workspace_starting",
        Text(
            "The workspace waits for a site with room. This page looks again by itself."
            if waits
            else "The workspace is starting. This page looks again by itself.",
            "工作空间正在等待有空余资源的站点，本页会自动刷新。" if waits else "工作空间正在启动，本页会自动刷新。",
        ),
        again_seconds=2,
    )


def ended() -> NotServed:
    return NotServed(410, "workspace_ended", Text("This workspace has ended. Start another one.", "该工作空间已结束，请新建一个。"))


def unreachable() -> NotServed:
    return NotServed(
        503,
        "site_unreachable",
        Text(
            "The workspace's site is not connected now. What runs there goes on; this page looks again by itself.",
            "工作空间所在站点暂时未连接。其中的程序仍在运行，本页会自动刷新。",
        ),
        again_seconds=3,
    )


def broken() -> NotServed:
    return NotServed(
        502, "workspace_failed", Text("The session in the workspace broke off its answer. Try again.", "工作空间中的会话中断了应答，请重试。")
    )


def too_many() -> NotServed:
    return NotServed(
        429,
        "too_many_connections",
        Text("This workspace has too many connections open; close some pages.", "该工作空间打开的连接过多，请关闭部分页面。"),
    )


def server_away() -> NotServed:
    return NotServed(
        503, "server_away", Text("The platform cannot be asked now who you are. Try again soon.", "平台暂时无法核实身份，请稍后重试。"), again_seconds=3
    )  # fmt: skip


async def say(send: Send, error: NotServed, accept: str | None, *, socket: bool, request_id: str) -> None:
    """Answer with it: a WebSocket that was not accepted is denied with the same answer."""
    page = "text/html" in (accept or "")
    body = _page(error) if page else _json(error)
    headers = [
        (b"content-type", b"text/html; charset=utf-8" if page else b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        (b"content-security-policy", POLICY.encode()),
    ]
    if error.again_seconds is not None:
        headers.append((b"retry-after", b"%d" % error.again_seconds))
    kind = "websocket.http.response" if socket else "http.response"
    await send({"type": f"{kind}.start", "status": error.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})


def _json(error: NotServed) -> bytes:
    remedy = {} if error.remedy is None else {"remedy": error.remedy.en, "remedy_zh": error.remedy.zh}
    return orjson.dumps({"error": {"code": error.code, "message": error.text.en, "message_zh": error.text.zh, **remedy}})


def _page(error: NotServed) -> bytes:
    again = f'<meta http-equiv="refresh" content="{error.again_seconds}">' if error.again_seconds else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{again}<title>zhisuan</title><style>{STYLE}</style>'
        f'<p>{escape(error.text.en)}</p><p class="zh" lang="zh">{escape(error.text.zh)}</p></html>'
    ).encode()
