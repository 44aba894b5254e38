"""Fields of SkyPilot's task YAML (its schema of 2026) that this platform does not take: why, and what to use instead.

A field that becomes supported leaves its table here. Each entry is read after the field's name.
"""

from zhisuan.base.text import Text

GIT_REFUSED = Text(
    "names a git repository; clone it and give the folder, so that what runs is what you have seen",
    "指向 git 仓库；请先克隆并填写本地目录，确保运行的就是您看到的内容",
)
TOP_REFUSED = {
    "managed_secrets": Text(
        "names secrets kept by a SkyPilot server; give them under secrets or with --secret",
        "指 SkyPilot 服务器保存的密钥；请写在 secrets 下或用 --secret 传入",
    ),
    "config": Text(
        "sets up SkyPilot's own clouds; a site's provider sets up its engine, so leave it out",
        "用于配置 SkyPilot 的云；站点引擎由提供方配置，请去掉",
    ),
    "experimental": Text("holds trial settings of SkyPilot's clouds; leave it out", "是 SkyPilot 的试验性配置，请去掉"),
    "event_callback": Text(
        "runs a command on the SkyPilot machine at each change; use `zhisuan jobs events` or the API's watch",
        "在 SkyPilot 机器上执行回调；请改用 zhisuan jobs events 或 API 的 watch",
    ),
    "api_server": Text("names a SkyPilot server; `zhisuan login` names ours", "指 SkyPilot 服务器；请用 zhisuan login 登录本平台"),
    "api_server_access": Text(
        "lets the work call a SkyPilot server; give the work an API key of yours under secrets",
        "让作业访问 SkyPilot 服务器；请在 secrets 中提供您的 API 密钥",
    ),
    "inputs": Text("estimates data transfer between clouds; data goes along with workdir and file_mounts",
                   "用于估算云间数据传输；数据请放入 workdir 与 file_mounts"),
    "outputs": Text("estimates data transfer between clouds; zhisuan.artefacts says what to keep",
                    "用于估算云间数据传输；需保留的文件请写入 zhisuan.artefacts"),
    "pool": Text("keeps idle workers; each workload here is placed and paid for by itself, so launch one for each",
                 "会保留空闲工作节点；本平台按作业单独放置与计费，请逐个启动"),
    "serve": Text("is SkyPilot's older name of service; write service", "是 SkyPilot 的旧写法；请写 service"),
    "file_mounts_mapping": Text("is written by SkyPilot itself; write file_mounts", "由 SkyPilot 内部生成；请写 file_mounts"),
    "volume_mounts": Text("is written by SkyPilot itself; write file_mounts", "由 SkyPilot 内部生成；请写 file_mounts"),
    "_metadata": Text("is written by SkyPilot itself; leave it out", "由 SkyPilot 内部生成，请去掉"),
}  # fmt: skip

RESOURCES_REFUSED = {
    "infra": Text("names a cloud or cluster; this platform chooses among its sites: narrow it with zhisuan.region or zhisuan.sites",
                  "指定云或集群；本平台在各站点间选择，可用 zhisuan.region 或 zhisuan.sites 限定"),
    "cloud": Text("names a cloud; this platform chooses among its sites: narrow it with zhisuan.sites",
                  "指定云厂商；本平台在各站点间选择，可用 zhisuan.sites 限定"),
    "region": Text("is a region of one cloud; write zhisuan.region with a region of this platform's sites",
                   "指某个云的地域；请用 zhisuan.region 填写本平台站点所在地区"),
    "zone": Text("is a zone of one cloud; name sites with zhisuan.sites", "指某个云的可用区；请用 zhisuan.sites 指定站点"),
    "instance_type": Text("is a machine of one cloud; write cpus, memory and accelerators", "指某个云的机型；请写 cpus、memory 与 accelerators"),
    "spot_recovery": Text("is SkyPilot's older name of job_recovery; write that",
                          "是 job_recovery 的旧写法；请写 job_recovery"),
    "disk_size": Text("sizes a cloud disk; a job's folder is on its site's own disk, so leave it out",
                      "指云盘大小；作业目录位于站点本地磁盘，请去掉"),
    "ephemeral_storage": Text("sizes a pod's disk; a job's folder is on its site's own disk, so leave it out",
                              "指容器磁盘大小；作业目录位于站点本地磁盘，请去掉"),
    "disk_tier": Text("is a kind of cloud disk; a site has the disk it has, shown with its probes", "指云盘类型；站点磁盘以其实测结果为准"),
    "local_disk": Text("is a kind of cloud disk; a site has the disk it has, shown with its probes", "指云主机本地盘；站点磁盘以其实测结果为准"),
    "network_tier": Text("is a kind of cloud network; nodes of one workload share their site's network, so leave it out",
                         "指云网络类型；同一作业的节点共用站点网络，请去掉"),
    "max_hourly_cost": Text("is a limit in dollars on one cloud's machines; write zhisuan.price_max, in yuan or 度 an hour",
                            "是针对云主机的美元上限；请用 zhisuan.price_max 填写每小时的元或 度"),
    "image_id": Text("is a machine or container image; work runs in its site's sandbox, so install what it needs in setup",
                     "指系统或容器镜像；作业在站点沙箱内运行，请在 setup 中安装所需软件"),
    "labels": Text("are tags of a cloud's bill; use name and the project", "指云账单标签；请用 name 与项目区分"),
    "priority": Text("orders work in one SkyPilot queue; waiting work is taken here in the order it came",
                     "是 SkyPilot 队列的优先级；本平台按提交先后处理"),
    "priority_class": Text("is a class of a Kubernetes cluster; waiting work is taken here in the order it came",
                           "指 Kubernetes 优先级类；本平台按提交先后处理"),
    "accelerator_args": Text("sets up TPUs of one cloud; leave it out", "用于配置特定云的 TPU，请去掉"),
    "volumes": Text("are disks of one cloud; write volumes beside resources", "指特定云的磁盘；请在 resources 之外写 volumes"),
    "_no_missing_accel_warnings": Text("is written by SkyPilot itself; leave it out", "由 SkyPilot 内部生成，请去掉"),
    "_docker_login_config": Text("is written by SkyPilot itself; leave it out", "由 SkyPilot 内部生成，请去掉"),
    "_is_image_managed": Text("is written by SkyPilot itself; leave it out", "由 SkyPilot 内部生成，请去掉"),
    "_requires_fuse": Text("is written by SkyPilot itself; leave it out", "由 SkyPilot 内部生成，请去掉"),
    "_cluster_config_overrides": Text("is written by SkyPilot itself; leave it out", "由 SkyPilot 内部生成，请去掉"),
}  # fmt: skip

AUTOSTOP_REFUSED = {
    "wait_for": Text("chooses what SkyPilot counts as use; here it is processor time and calls", "用于选择 SkyPilot 的空闲判据；本平台按处理器时间与请求判断"),
    "hook": Text("runs a command before the stop; write zhisuan.on_stop", "用于停止前执行命令；请写 zhisuan.on_stop"),
    "hook_timeout": Text("limits that command; zhisuan.grace does", "限制该命令的时长；请用 zhisuan.grace"),
}  # fmt: skip

SERVICE_REFUSED = {
    "replica_policy": Text("adds and removes replicas; a service here is one replica: launch it twice for two",
                           "用于增减副本；本平台一个服务为一个副本，需要两个请启动两次"),
    "load_balancing_policy": Text("divides calls over replicas; a service here is one replica", "用于在副本间分流；本平台一个服务为一个副本"),
    "load_balancer": Text("sets up SkyPilot's load balancer; calls come through this platform's gateway, so leave it out",
                          "用于配置 SkyPilot 负载均衡；请求经本平台网关，请去掉"),
    "tls": Text("gives the endpoint a certificate; the gateway's operator has one, so leave it out", "为端点配置证书；证书由网关运营方配置，请去掉"),
    "pool": Text("keeps idle workers; each workload here is placed and paid for by itself", "会保留空闲工作节点；本平台按作业单独放置与计费"),
    "workers": Text("keeps idle workers; each workload here is placed and paid for by itself", "会保留空闲工作节点；本平台按作业单独放置与计费"),
    "ports": Text("is written service.port here, or resources.ports", "在本平台写作 service.port 或 resources.ports"),
}  # fmt: skip

PROBE_REFUSED = {
    "initial_delay_seconds": Text("is not needed: a service may take as long as it likes to become ready", "不需要：服务就绪所需时间不限"),
    "timeout_seconds": Text("is set by the platform; leave it out", "由平台设定，请去掉"),
    "endpoint_probe_interval_seconds": Text("is set by the platform; leave it out", "由平台设定，请去掉"),
    "consecutive_failure_threshold_timeout": Text("is set by the platform; leave it out", "由平台设定，请去掉"),
    "post_data": Text("sends a body; readiness is asked with GET, so name a path that answers it", "需发送请求体；就绪检查使用 GET，请填写可用的路径"),
    "headers": Text("sends headers; name a path that answers without them", "需发送请求头；请填写无需请求头的路径"),
}  # fmt: skip

MOUNTS_REFUSED = {
    "url": Text("takes a local path or volume://name/path; put the files of a bucket into a volume, or fetch them in setup",
                "只支持本地路径或 volume://名称/路径；存储桶中的文件请放入数据卷，或在 setup 中下载"),
    "storage": Text(
        "mounts a bucket or a volume of a cloud; upload a local path, or fetch it in setup",
        "挂载云存储桶或存储卷；请上传本地路径，或在 setup 中下载",
    ),
}
