"""Workload files to begin with, shipped as data in ``templates/``."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from zhisuan.base.text import Text

PACKAGE = "zhisuan.workload"
FOLDER = "templates"


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    title: Text
    about: Text
    file: str


TOLD = (
    ("hello", Text("Hello", "入门作业"), Text("a first job: five lines of output", "第一个作业：输出五行文字")),
    (
        "pytorch-train",
        Text("Train with PyTorch", "PyTorch 训练"),
        Text("one node, any card or none; keeps the model", "单节点，有无加速卡均可；保存模型"),
    ),
    (
        "torchrun-nodes",
        Text("Train on several nodes", "多节点训练"),
        Text("torchrun on nodes of one Slurm or Ray site, all at once", "在同一 Slurm 或 Ray 站点的多个节点上同时运行 torchrun"),
    ),
    (
        "batch-inference",
        Text("Batch inference", "批量推理"),
        Text("a file of inputs, divided over cores and nodes; keeps the answers", "将输入文件分配到各核与各节点处理；保存结果"),
    ),
    (
        "many-tasks",
        Text("Many small tasks", "大量小任务"),
        Text("one order that runs a command for each of many inputs, some at once", "一个订单对大量输入各运行一次命令，多个同时运行"),
    ),
    (
        "serve-vllm",
        Text("Serve a model with vLLM", "用 vLLM 部署模型"),
        Text("a language model on the cheapest of three cards; needs vLLM at the site", "在三种加速卡中选最便宜的部署语言模型；站点需安装 vLLM"),
    ),
    ("web-service", Text("Web service", "网络服务"), Text("a port that answers HTTP", "提供 HTTP 服务的端口")),
)  # fmt: skip


@cache
def templates() -> tuple[Template, ...]:
    """All of them, in the order in which they are shown."""
    folder = files(PACKAGE) / FOLDER
    return tuple(
        Template(name, title, about, (folder / f"{name}.yaml").read_text("utf-8")) for name, title, about in TOLD
    )
