"""Texts of the model pages and the chat box."""

from typing import ClassVar

from zhisuan.base.text import Text


class Model:
    NAME = Text("Model", "模型")
    LATEST = Text("Latest", "最新版本")
    VERSION = Text("Version {number}", "第 {number} 版")
    SERVED = Text("Served", "服务中")
    NOT_SERVED = Text("not served", "未部署")
    CREATED = Text("Created", "创建时间")
    EMPTY = Text("No models yet", "还没有模型")
    EMPTY_TEXT = Text("Register what a finished job left:", "将已完成作业的产物登记为模型：")
    ALL = Text("All models", "全部模型")
    VERSIONS = Text("Versions", "版本")
    EVALUATION = Text("Evaluation", "评测")
    NO_EVALUATION = Text("no evaluation came with it", "未附带评测")
    LINEAGE = Text("Made by", "来源作业")
    FILES_SUM = Text("{count} files, {size}", "{count} 个文件，{size}")
    DEPLOY = Text("Deploy", "部署")
    DEPLOY_TITLE = Text("Deploy version {number}", "部署第 {number} 版")
    DEPLOY_TEXT = Text(
        "It runs as a service of yours and is billed by the second until you stop it.",
        "部署后作为您的服务运行，按秒计费，停止即停止计费。",
    )
    CPUS = Text("CPU cores", "CPU 核数")
    MEMORY_GIB = Text("Memory (GiB)", "内存（GiB）")
    DEPLOYED = Text("Being deployed", "正在部署")
    DEPLOYMENTS = Text("Deployments", "部署")
    NO_DEPLOYMENTS = Text("Not deployed", "尚未部署")
    NO_DEPLOYMENTS_TEXT = Text("Deploy a version below, or from your terminal:", "可部署下方的任一版本，或在终端运行：")
    ENDED_ONES = Text("{count} ended", "{count} 个已停止")
    STATES: ClassVar[dict[str, Text]] = {
        "waiting": Text("Waiting", "等待中"),
        "starting": Text("Starting", "启动中"),
        "ready": Text("Ready", "就绪"),
        "not_ready": Text("Not ready", "未就绪"),
        "ended": Text("Ended", "已停止"),
        "failed": Text("Failed", "失败"),
    }
    REPLICAS = Text("Ready replicas", "就绪副本")
    WORKLOAD = Text("Service", "所属服务")
    TOKENS_IN = Text("Input tokens", "输入 token")
    TOKENS_CACHED = Text("Cached input", "缓存输入")
    TOKENS_OUT = Text("Output tokens", "输出 token")
    CALLS = Text("Calls", "调用次数")
    STOP = Text("Stop", "停止")
    STOP_TITLE = Text("Stop serving {name}?", "停止部署 {name}？")
    STOP_TEXT = Text("Calls are refused from then on. You can deploy it again.", "停止后将拒绝调用，可随时重新部署。")
    STOPPED = Text("Being stopped", "正在停止")
    KEEP = Text("Keep serving", "继续服务")
    ADDRESS = Text("Address", "接口地址")
    CODE = Text("Call it from your code", "在代码中调用")
    CODE_TEXT = Text("Any OpenAI client works. Put your API key into ZHISUAN_API_KEY.", "兼容任意 OpenAI 客户端，将 API 密钥放入环境变量 ZHISUAN_API_KEY。")
    SNIPPET_PROMPT = Text("What is the best season to visit?", "什么季节去最合适？")

    CHAT = Text("Try it", "试用对话")
    CHAT_NOT_READY = Text("The chat opens when a deployment is ready.", "部署就绪后即可对话。")
    CHAT_KEY = Text("The gateway takes API keys", "网关需要 API 密钥")
    CHAT_KEY_TEXT = Text(
        "Make one for this chat, or paste one of yours. It is kept on the server for this browser only, until you sign out.",
        "可为此对话新建一个密钥，或粘贴已有密钥。密钥仅为当前浏览器保存在服务器上，退出登录后清除。",
    )
    MAKE_KEY = Text("Make a key", "新建密钥")
    KEY_NAME = Text("console chat", "控制台对话")
    KEY_MADE = Text("A key was made. It is shown only now:", "密钥已创建，仅此一次显示：")
    PASTE_KEY = Text("API key", "API 密钥")
    USE_KEY = Text("Use this key", "使用此密钥")
    FORGET_KEY = Text("Forget the key", "清除密钥")
    SAY = Text("Your message", "输入消息")
    SEND = Text("Send", "发送")
    YOU = Text("You", "您")
    NO_ANSWER = Text("The gateway did not answer: {detail}", "网关没有正常应答：{detail}")
    GATEWAY_AWAY = Text("it cannot be reached", "无法连接")
    EMPTY_ANSWER = Text("(empty answer)", "（空回答）")
    TOKENS_USED = Text("{input} in, {output} out", "输入 {input}，输出 {output}")
