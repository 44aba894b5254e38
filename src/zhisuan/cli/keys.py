"""``keys``: API keys of the organisation."""

from itertools import islice
from typing import Annotated

from zhisuan.base.errors import Conflict
from zhisuan.base.text import Text
from zhisuan.cli.output import Screen, items, show
from zhisuan.cli.params import JsonFlag, Limit, Project
from zhisuan.cli.session import connect
from zhisuan.cli.text import arg, opt, t, yes_no


def list_keys(limit: Limit = 50, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = list(islice(client.keys(), limit))

    def draw(screen: Screen) -> None:
        screen.table(
            "!id name !role hint revoked",
            [(k.id, k.name, k.role, k.hint or "", yes_no(k.revoked_at is not None)) for k in found],
        )

    show(as_json, items(found), draw)


def create(
    name: Annotated[str, arg("What the key is for.", "密钥用途。", metavar="NAME")],
    role: Annotated[
        str | None, opt("--role", metavar="ROLE", en="Another role than your own.", zh="与您不同的角色。")
    ] = None,
    project: Project = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.create_key(name, role=role, project=project)
    if made.lost:
        raise Conflict(
            Text(
                f"The key {made.id} was made, but the answer with its secret was lost on the way.",
                f"密钥 {made.id} 已创建，但包含密钥内容的应答在途中丢失。",
            ),
            Text(
                f"Revoke it with 'zhisuan keys revoke {made.id}' and make another.",
                f"请用 zhisuan keys revoke {made.id} 吊销后重新创建。",
            ),
            code="secret_lost",
        )

    def draw(screen: Screen) -> None:
        screen.line(made.secret)
        screen.note(
            t(
                f"Key {made.id}. Keep the secret now: it is not shown again.",
                f"密钥编号 {made.id}。请立即保存：密钥内容不会再次显示。",
            )
        )

    show(as_json, made.as_json(), draw)


def revoke(
    key_id: Annotated[str, arg("Id of the key.", "密钥编号。", metavar="ID")], as_json: JsonFlag = False
) -> None:
    with connect() as client:
        client.revoke_key(key_id)
    show(as_json, {"id": key_id, "revoked": True}, lambda s: s.line(t(f"Revoked {key_id}.", f"已吊销 {key_id}。")))
