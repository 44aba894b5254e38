"""Whether the artefact store can be reached, written, read and cleared; and how to mend what it cannot."""

import importlib.util
from collections.abc import Iterator
from urllib.parse import urlsplit

from zhisuan.app.findings import Finding
from zhisuan.base.settings import Settings
from zhisuan.base.store import Store
from zhisuan.base.text import Text


def store_findings(settings: Settings) -> Iterator[Finding]:
    """Nothing to say of a folder in the data directory: the disk is looked at anyway. What is said names no key."""
    if settings.artefact_url is None:
        return
    shown = f"{urlsplit(settings.artefact_url).scheme}://{urlsplit(settings.artefact_url).netloc.rpartition('@')[2]}"
    if settings.artefact_url.startswith("s3://") and importlib.util.find_spec("s3fs") is None:
        yield Finding(
            "object store", "fail", Text("the part that speaks S3 is not installed", "未安装 S3 访问组件"),
            Text("pip install 'zhisuan[s3]'", "执行 pip install 'zhisuan[s3]'"),
        )  # fmt: skip
        return
    try:
        Store(settings.artefact_address, settings.artefact_options).prove()
    except Exception as error:
        said, remedy = _cause(error)
        yield Finding(
            "object store", "fail",
            Text(f"the object store {shown} cannot be used: {said.en}", f"对象存储 {shown} 无法使用：{said.zh}"), remedy,
        )  # fmt: skip
        return
    yield Finding(
        "object store", "ok",
        Text(f"the object store {shown} was written, read and cleared", f"对象存储 {shown} 读写与删除正常"),
    )  # fmt: skip


def _cause(error: Exception) -> tuple[Text, Text]:
    """A client's error as a sentence, and what to do; the chain is looked through, since clients wrap one another's."""
    chain, at = [error], error.__cause__ or error.__context__
    while isinstance(at, Exception) and len(chain) < 8:
        chain.append(at)
        at = at.__cause__ or at.__context__
    said = " ".join(f"{type(e).__name__} {e}" for e in chain)
    for marks, text, remedy in _CAUSES:
        if any(mark in said for mark in marks):
            return text, remedy
    kind = type(error).__name__
    return Text(f"the client reports {kind}", f"客户端报告 {kind}"), Text("See the server's log for its words.", "详情见服务器日志。")


_CAUSES = (
    (
        ("NoCredentials", "Unable to locate credentials"),
        Text("there are no credentials", "没有访问凭证"),
        Text("Set ZHISUAN_ARTEFACT_ACCESS_KEY and ZHISUAN_ARTEFACT_SECRET_KEY.", "请设置 ZHISUAN_ARTEFACT_ACCESS_KEY 与 ZHISUAN_ARTEFACT_SECRET_KEY。"),
    ),
    (
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "Access Key Id", "signature we calculated"),
        Text("the keys are not accepted", "密钥不被接受"),
        Text("Check access key and secret key, and the machine's clock.", "请核对访问密钥与私有密钥，并检查本机时钟。"),
    ),
    (
        ("NoSuchBucket", "bucket does not exist"),
        Text("there is no such bucket", "存储桶不存在"),
        Text("Make the bucket, or correct ZHISUAN_ARTEFACT_URL.", "请创建存储桶，或更正 ZHISUAN_ARTEFACT_URL。"),
    ),
    (
        ("AccessDenied", "Forbidden", "Permission"),
        Text("access is denied", "访问被拒绝"),
        Text("Allow these keys to list, get, put and delete in the bucket.", "请授予该密钥对存储桶的列举、读取、写入与删除权限。"),
    ),
    (
        ("EndpointConnectionError", "ConnectTimeout", "ConnectionRefused", "Cannot connect", "Connect call failed", "Name or service not known"),
        Text("nothing answers at its address", "其地址没有响应"),
        Text("Check ZHISUAN_ARTEFACT_ENDPOINT and that the service runs and can be reached from here.", "请核对 ZHISUAN_ARTEFACT_ENDPOINT，并确认服务已启动且网络可达。"),
    ),
    (
        ("No space left", "ENOSPC"),
        Text("its disk is full", "磁盘已满"),
        Text("Free space there.", "请清理空间。"),
    ),
)  # fmt: skip
