"""All commands: their places, their names and what they are for."""

from zhisuan.base.text import Text
from zhisuan.cli.text import Help
from zhisuan.cli.tree import Command, Group, Section

CLI = "zhisuan.cli."

JOBS = Group(
    "jobs",
    Help("Jobs and services: list, show, shell, copy, cancel, pause, resume, restart, events, tasks, artefacts.", "作业与服务：列表、详情、终端、复制、取消、暂停、恢复、重启、事件、任务、产物。"),
    (
        Command("list", CLI + "jobs:list_jobs", Help("List jobs and services, newest first.", "列出作业与服务，最新的在前。")),
        Command("show", CLI + "jobs:show_job", Help("Show one with its leases and placement.", "查看详情，包括租约与放置。")),
        Command("shell", CLI + "shells:shell", Help("A shell in the sandbox of a running one, or a command there.", "进入运行中的沙箱，或在其中执行命令。")),
        Command("cancel", CLI + "jobs:cancel", Help("End one.", "取消一个作业或服务。")),
        Command("pause", CLI + "resting:pause", Help("Let one rest: its checkpoint is kept, it costs nothing.", "暂停：保留检查点，不再计费。")),
        Command("resume", CLI + "resting:resume", Help("Let a paused one go on from its checkpoint.", "从检查点恢复已暂停的作业或服务。")),
        Command("restart", CLI + "resting:restart", Help("Begin one again from its last checkpoint.", "从最近的检查点重新开始。")),
        Command("copy", CLI + "copying:copy", Help("Launch it again, under another name or with other variables.", "以相同文件和上传内容再次启动，可改名称与变量。")),
        Command("events", CLI + "jobs:events", Help("Show every change of state, its cause and who made it.", "查看状态变化、原因与操作者。")),
        Command("tasks", CLI + "task_list:list_tasks", Help("Of an order of many tasks: how many have run, and which failed.", "批量任务：完成情况与失败的任务。")),
        Command("artefacts", CLI + "jobs:artefacts", Help("List what it left; fetch it with --download.", "列出产物；用 --download 下载。")),
    ),
    default="list",
)  # fmt: skip

WORKSPACE = Group(
    "workspace",
    Help("Workspaces: JupyterLab or a shell at a site.", "工作空间：站点上的 JupyterLab 或终端。"),
    (
        Command("list", CLI + "workspaces:list_workspaces", Help("List workspaces and what they have cost.", "列出工作空间与费用。")),
        Command("start", CLI + "workspaces:start", Help("Start one and wait until it is ready.", "新建并等待就绪。")),
        Command("open", CLI + "workspaces:open_workspace", Help("Open it in a browser.", "在浏览器中打开。")),
        Command("shell", CLI + "workspaces:shell", Help("A terminal in it, in this terminal.", "在本终端中进入其终端。")),
        Command("stop", CLI + "workspaces:stop", Help("End it, and its cost.", "停止并结束计费。")),
    ),
    default="list",
)  # fmt: skip

MODELS = Group(
    "models",
    Help("Models: register what a job left, serve it, stop it.", "模型：登记作业产物、部署、停止。"),
    (
        Command("list", CLI + "registry:list_models", Help("List models and what is served.", "列出模型及部署。")),
        Command("show", CLI + "registry:show_model", Help("Show a model, its versions and evaluations.", "查看模型的版本与评测。")),
        Command("register", CLI + "registry:register", Help("Make a version from the artefacts of a job.", "用作业的产物登记一个版本。")),
        Command("deploy", CLI + "registry:deploy", Help("Serve a version at the gateway.", "将一个版本部署到网关。")),
        Command("stop", CLI + "registry:stop", Help("Stop serving.", "停止部署。")),
    ),
    default="list",
)  # fmt: skip

VOLUMES = Group(
    "volumes",
    Help("Volumes: named, versioned trees of files for jobs.", "数据卷：供作业使用的带版本的文件集。"),
    (
        Command("list", CLI + "volumes:list_volumes", Help("List volumes and what they use of the quota.", "列出数据卷与配额用量。")),
        Command("create", CLI + "volumes:create", Help("Make an empty volume.", "创建空数据卷。")),
        Command("show", CLI + "volumes:show_volume", Help("Look into a volume, and see which jobs use it.", "查看数据卷内容与使用它的作业。")),
        Command("versions", CLI + "volumes:versions", Help("List its versions.", "列出版本。")),
        Command("put", CLI + "volumes:put", Help("Bring a file or folder in; goes on after a break.", "上传文件或文件夹；中断后可续传。")),
        Command("get", CLI + "volumes:get", Help("Fetch a volume, or a file or folder of it.", "下载数据卷或其中的文件、文件夹。")),
        Command("use", CLI + "volumes:use", Help("Make a version the current one.", "将某个版本设为当前版本。")),
        Command("rm", CLI + "volumes:remove", Help("Delete a volume, or a file or folder of it.", "删除数据卷，或其中的文件、文件夹。")),
    ),
    default="list",
)  # fmt: skip

SITE = Group(
    "site",
    Help("Sites: bring machines in, look at them, take them out.", "站点：接入、查看、下线算力。"),
    (
        Command("list", CLI + "sites:list_sites", Help("List sites.", "列出站点。")),
        Command("show", CLI + "sites:show_site", Help("Show a site with its devices: nominal, published, measured.", "查看站点及设备的标称、公布与实测性能。")),
        Command("create", CLI + "sites:create", Help("Register a site and get its join token.", "登记站点并取得加入令牌。")),
        Command("check", "@site-check", Help("Say whether this machine can join, and what to mend.", "检查本机能否加入，以及需修复之处。")),
        Command("join", "@site-join", Help("Make this machine a site: check, measure, register, run.", "让本机成为站点：检查、测量、登记、运行。")),
        Command("host", "@site-host", Help("Make this machine a further host of a site.", "让本机成为站点的又一台主机。")),
        Command("host-token", "@site-host-token", Help("On the head: a token for one further host.", "在主节点上：为一台新主机生成令牌。")),
        Command("hosts", "@site-hosts", Help("On the head: the site's hosts.", "在主节点上：列出站点的主机。")),
        Command("host-remove", "@site-host-remove", Help("On the head: shut a host out.", "在主节点上：移除一台主机。")),
        Command("evidence", CLI + "site_proof:evidence", Help("Claimed, found, nominal, published and measured.", "对比声明、发现、标称、公布与实测。")),
        Command("verify", CLI + "site_proof:verify", Help("Accept what a site measured and open it (operator).", "核验站点的实测结果并开放（运营方）。")),
        Command("price", CLI + "site_proof:price", Help("Sell a class of a site by its measured speed (operator).", "按实测性能为站点的某型号定价（运营方）。")),
        Command("open", CLI + "sites:open_site", Help("Let a site take work.", "开放站点接收任务。")),
        Command("drain", CLI + "sites:drain", Help("Give a site no new work.", "不再向站点派发新任务。")),
        Command("windows", CLI + "site_terms:windows", Help("The weekly hours in which devices are offered.", "查看或设置每周开放时段。")),
        Command("take-back", CLI + "site_terms:take_back", Help("Take the devices back, with notice to their work.", "提前通知作业并收回设备。")),
        Command("offer-again", CLI + "site_terms:offer_again", Help("End a take-back.", "结束收回，恢复开放。")),
        Command("set", CLI + "site_terms:set_terms", Help("Set PUE, tariff, green share and place.", "设置 PUE、电价、绿电占比与位置。")),
        Command("conditions", CLI + "site_terms:conditions", Help("PUE, tariff and green share over time.", "查看 PUE、电价与绿电占比的历史。")),
        Command("links", CLI + "site_links:links", Help("Round trips to the other sites.", "与其他站点的往返时延。")),
        Command("claim", CLI + "site_terms:claim", Help("Say what devices the site has.", "声明站点拥有的设备。")),
        Command("token", CLI + "sites:token", Help("Get a new join token.", "重新获取加入令牌。")),
        Command("tokens", CLI + "site_proof:tokens", Help("List join tokens.", "列出加入令牌。")),
        Command("revoke-token", CLI + "site_proof:revoke_token", Help("Revoke a join token that was not used.", "撤销未使用的加入令牌。")),
        Command("rotate", "@site-rotate", Help("Give this machine's site a new credential.", "为本机站点更换凭证。")),
        Command("revoke", CLI + "site_proof:revoke", Help("Shut a site's agent out at once.", "立即拒绝站点代理接入。")),
        Command("reconciliation", CLI + "site_accounts:reconciliation", Help("Whether the site's engine counted what was metered.", "核对站点引擎记录与平台计量。")),
        Command("earnings", CLI + "site_proof:earnings", Help("What one site has earned.", "单个站点的收益。")),
        Command("close", CLI + "sites:close", Help("Close a drained site for good.", "永久关闭已排空的站点。")),
    ),
    default="list",
)  # fmt: skip

PLACE = Group(
    "place",
    Help("Demand places, and how far sites are from them.", "需求地点及其到各站点的时延。"),
    (
        Command("list", CLI + "places:list_places", Help("List demand places.", "列出需求地点。")),
        Command("add", CLI + "places:add", Help("Add a demand place (operator).", "登记需求地点（运营方）。")),
        Command("remove", CLI + "places:remove", Help("Remove one with its round trips (operator).", "删除需求地点及其时延（运营方）。")),
        Command("links", CLI + "places:links", Help("Round trips to the sites (operator).", "查看到各站点的往返时延（运营方）。")),
        Command("link", CLI + "places:link", Help("Record a round trip to a site (operator).", "登记到站点的往返时延（运营方）。")),
    ),
    default="list",
)  # fmt: skip

KEYS = Group(
    "keys",
    Help("API keys.", "API 密钥。"),
    (
        Command("list", CLI + "keys:list_keys", Help("List keys.", "列出密钥。")),
        Command("create", CLI + "keys:create", Help("Make a key; its secret is shown once.", "创建密钥；密钥内容只显示一次。")),
        Command("revoke", CLI + "keys:revoke", Help("Revoke a key at once.", "立即吊销密钥。")),
    ),
    default="list",
)  # fmt: skip

ORG = Group(
    "org",
    Help("Organisations (operator).", "组织（运营方）。"),
    (
        Command("list", CLI + "operation:list_organisations", Help("List organisations.", "列出组织。")),
        Command("create", CLI + "operation:create_organisation", Help("Make an organisation of any kind.", "创建任意类型的组织。")),
        Command("topup", CLI + "operation:top_up", Help("Book money that has arrived into a tenant's wallet.", "将已到账款项记入租户钱包。")),
        Command("data-quota", CLI + "volumes:quota", Help("Set how much its volumes may hold.", "设置其数据卷的容量上限。")),
    ),
    default="list",
)  # fmt: skip

QUOTA = Group(
    "quota",
    Help("Quotas: what is guaranteed, at most, held and borrowed.", "配额：保障、上限、占用与借用。"),
    (
        Command("show", CLI + "quotas:show_quota", Help("Show the organisation and its projects; the operator sees all.", "查看组织及其项目的配额；运营方可见全部。")),
        Command("set", CLI + "quotas:set_quota", Help("Set the quota of a project, or of an organisation (operator).", "设置项目的配额，或组织的配额（运营方）。")),
        Command("count-anew", CLI + "quotas:count_anew", Help("Count what was used of late anew from the leases (operator).", "根据租约重新统计近期用量（运营方）。")),
    ),
    default="show",
)  # fmt: skip

PRICES = Group(
    "prices",
    Help("Price books (operator).", "价目表（运营方）。"),
    (
        Command("show", CLI + "operation:show_prices", Help("Show every version there was.", "查看历次价目表。")),
        Command("publish", CLI + "operation:publish_prices", Help("Publish a price file as a new version.", "发布新版价目表。")),
    ),
    default="show",
)  # fmt: skip

INVOICE = Group(
    "invoice",
    Help("Issue invoices (operator).", "开具账单（运营方）。"),
    (Command("issue", CLI + "operation:issue_invoices", Help("Invoice all that is not billed yet.", "为尚未出账的用量开具账单。")),),
)  # fmt: skip

SIMULATE = Group(
    "simulate",
    Help("Replay a trace through the real placement code, on this machine.", "在本机用真实的放置代码回放轨迹。"),
    (
        Command("openb", "@simulate-openb", Help("Tasks that share cards: how much of a cluster can be given out.", "共享加速卡的任务：集群能分配出多少。")),
        Command("jobs", "@simulate-jobs", Help("Jobs over time: how long they wait, by policy.", "作业排队：各策略下的等待时间。")),
        Command("carbon", "@simulate-carbon", Help("Work that can wait: what moving it in time and place saves.", "可延迟的任务：移动时间与地点能节省多少。")),
        Command("batch", "@simulate-batch", Help("One pass over backlog, deferrable and spot work: the plan and its gap.", "对积压、可延迟与竞价作业的一次批量规划：计划与差距。")),
        Command("serve", "@simulate-serve", Help("Requests to models: time to first token and cost, by routing and scaling.", "模型请求：各路由与伸缩策略的首字时延与成本。")),
        Command("city", "@simulate-city", Help("A whole city: waits, cost, carbon and fairness, and what if.", "整座城市：等待、费用、碳排放与公平性，以及假设分析。")),
    ),
)  # fmt: skip

ROOT = (
    Section(
        Text("This machine", "本机"),
        (
            Command("up", "@up", Help("Run the platform here: server, site and gateway.", "在本机运行平台：服务器、站点与网关。")),
            Command("quickstart", "@quickstart", Help("Take one real order through the whole platform, here.", "在本机完整走一遍真实订单。")),
            Command("doctor", "@doctor", Help("Say what this machine can do, and how to mend what it cannot.", "检查本机能力，并给出修复办法。")),
            SIMULATE,
        ),
    ),
    Section(
        Text("Account", "账户"),
        (
            Command("login", CLI + "account:login", Help("Sign in with a key, or with address and password.", "用密钥或邮箱密码登录。")),
            Command("logout", CLI + "account:logout", Help("Sign out and forget the key.", "退出登录并删除本机保存的密钥。")),
            Command("signup", CLI + "account:sign_up", Help("Make an account: a tenant, or a provider.", "注册租户或提供方账户。")),
            Command("overview", CLI + "overview:overview", Help("The state of things at a glance.", "总览。")),
            KEYS,
        ),
    ),
    Section(
        Text("Work", "任务"),
        (
            Command("quote", CLI + "launching:quote", Help("What a workload file would cost, and where it could run.", "查询工作负载的价格与可用站点。")),
            Command("templates", CLI + "copying:templates", Help("Workload files to begin with.", "可直接使用的工作负载模板。")),
            Command("launch", CLI + "launching:launch", Help("Run a workload file and follow it to its end.", "启动工作负载并跟踪到结束。")),
            JOBS,
            WORKSPACE,
            Command("logs", CLI + "jobs:logs", Help("Show what a job wrote; -f goes on following.", "查看输出；-f 持续跟踪。")),
            Command("shell", CLI + "shells:shell", Help("A shell in the sandbox of a running one, or a command there.", "进入运行中的沙箱，或在其中执行命令。")),
        Command("cancel", CLI + "jobs:cancel", Help("End a job or service.", "取消作业或服务。")),
            Command("why", CLI + "jobs:why", Help("Why a job is where it is, or waits, and what would help.", "解释放置或等待的原因及解决办法。")),
            QUOTA,
        ),
    ),
    Section(
        Text("Models", "模型"),
        (
            MODELS,
            VOLUMES,
            Command("chat", CLI + "chat:chat", Help("Talk to a model through the gateway.", "通过网关与模型对话。")),
        ),
    ),
    Section(
        Text("Money", "费用"),
        (
            Command("catalog", CLI + "money:catalog", Help("Public prices, packs and device classes.", "公开价格、算力包与设备型号。")),
            Command("wallet", CLI + "money:wallet", Help("What there is to spend.", "查看可用余额与额度。")),
            Command("buy", CLI + "money:buy", Help("Buy a pack of the catalogue from the wallet.", "用钱包余额购买算力包。")),
            Command("bill", CLI + "bill:bill", Help("The bill of a month, an invoice, or single charges.", "月度账单、单张账单或明细。")),
            Command("trace", CLI + "trace:trace", Help("The whole chain through any record.", "追溯任一记录的完整链条。")),
        ),
    ),
    Section(
        Text("Supply", "供给"),
        (
            SITE,
            PLACE,
            Command("earnings", CLI + "sites:earnings", Help("What a provider has earned.", "提供方收益。")),
        ),
    ),
    Section(
        Text("Operator", "运营"),
        (
            ORG,
            PRICES,
            INVOICE,
            Command("settle", CLI + "operation:settle", Help("Split an invoice between providers and platform.", "在提供方与平台之间结算一张账单。")),
            Command("payout", CLI + "operation:payout", Help("Record a payment made to a provider.", "登记向提供方的付款。")),
            Command("checks", CLI + "operation:checks", Help("Check the books.", "账务核对。")),
        ),
    ),
)  # fmt: skip
