"""Texts of the trace page."""

from typing import ClassVar

from zhisuan.base.text import Text


class Trace:
    TITLE = Text("Trace", "追溯")
    LEAD = Text(
        "The whole chain that this record stands in, from the machine to the carbon statement.",
        "这条记录所在的完整链条：从设备到碳排放。",
    )
    STATIONS: ClassVar[dict[str, Text]] = {
        "supply": Text("Supply", "供给"),
        "catalogue": Text("Catalogue", "目录"),
        "workload": Text("Workload", "工作负载"),
        "placement": Text("Placement", "调度"),
        "lease": Text("Lease", "租约"),
        "execution": Text("Execution", "执行"),
        "usage": Text("Usage", "用量"),
        "charge": Text("Charge", "计费"),
        "invoice": Text("Invoice", "账单"),
        "settlement": Text("Settlement", "结算"),
        "carbon": Text("Carbon", "碳排放"),
    }
    QUESTIONS: ClassVar[dict[str, Text]] = {
        "supply": Text("who has it", "谁提供"),
        "catalogue": Text("at what price", "什么价"),
        "workload": Text("what is wanted", "要什么"),
        "placement": Text("where, and why", "放在哪，为什么"),
        "lease": Text("for how long", "租多久"),
        "execution": Text("what ran", "跑了什么"),
        "usage": Text("what it used", "用了多少"),
        "charge": Text("who pays", "谁付钱"),
        "invoice": Text("on which bill", "在哪张账单"),
        "settlement": Text("who is paid", "付给谁"),
        "carbon": Text("at what cost to the air", "排放多少"),
    }
    NOTHING = Text("nothing here yet", "尚无记录")
    MORE = Text("{count} more", "另有 {count} 条")
    HERE = Text("you are here", "当前记录")
    ASK_TITLE = Text("Trace any record", "追溯任意记录")
    ASK_TEXT = Text(
        "Give the id of a workload, lease, charge, invoice line, settlement, model, order … and see where it comes from and "
        "where it leads.",
        "输入工作负载、租约、计费、账单行、结算、模型、订单等任意编号，查看其来龙去脉。",
    )
    ID = Text("Id", "编号")
    GO = Text("Trace", "追溯")
    FACTS: ClassVar[dict[str, Text]] = {
        "site_id": Text("Site", "站点"), "node_id": Text("Node", "节点"), "node_ids": Text("Nodes", "节点"), "kind": Text("Kind", "类型"), "class_id": Text("Class", "型号"),
        "region": Text("Region", "地区"), "pue_milli": Text("PUE", "PUE"), "pue": Text("PUE", "PUE"),
        "provider_id": Text("Provider", "提供方"), "price_book_version": Text("Price book", "价目版本"), "shape": Text("Shape", "规格"),
        "rate_udu_per_hour": Text("Rate", "费率"), "price_yuan_per_du": Text("Yuan per 度", "元/度"),
        "platform_fee_ppm": Text("Platform fee", "平台费"), "quantity_udu": Text("Quantity", "数量"),
        "amount_yuan": Text("Yuan", "金额（元）"), "at": Text("At", "时间"), "channel": Text("Channel", "渠道"),
        "reference": Text("Reference", "凭据号"), "state": Text("State", "状态"), "created_at": Text("Created", "创建时间"),
        "created_by": Text("Created by", "创建者"), "ended_at": Text("Ended", "结束时间"), "chosen": Text("Chosen", "选中"),
        "compared": Text("Compared", "比较节点数"), "rejected": Text("Left out", "排除"), "workload_id": Text("Workload", "工作负载"),
        "offered_at": Text("Offered", "发出时间"), "active_from": Text("Active from", "开始计时"), "active_to": Text("Active to", "结束计时"),
        "fault": Text("Fault", "故障方"), "exit_code": Text("Exit code", "退出码"), "reason": Text("Reason", "原因"),
        "message": Text("Message", "说明"), "cpu_milliseconds": Text("CPU time", "CPU 时间"), "memory_peak_bytes": Text("Memory peak", "内存峰值"),
        "size_bytes": Text("Size", "大小"), "sha256": Text("SHA-256", "SHA-256"), "evaluation": Text("Evaluation", "评测"),
        "windows": Text("Windows", "计量窗口"), "seconds": Text("Seconds", "秒数"), "quantity_du": Text("度", "度"), "first": Text("First", "最早"),
        "last": Text("Last", "最晚"), "calls": Text("Calls", "调用次数"), "input_tokens": Text("Input tokens", "输入 token"),
        "output_tokens": Text("Output tokens", "输出 token"), "lease_id": Text("Lease", "租约"), "grant_id": Text("Grant", "额度"),
        "value_yuan": Text("Value (yuan)", "价值（元）"), "cash_yuan": Text("Cash (yuan)", "现金（元）"), "last_charge_id": Text("Last charge", "最后一笔"),
        "invoice_id": Text("Invoice", "账单"), "subject": Text("Subject", "对象"), "tokens": Text("Tokens", "Token"),
        "shown_fen": Text("Shown", "显示金额"), "amount_fen": Text("Amount", "金额"), "of_total_fen": Text("Of total", "总额"),
        "power_milliwatts": Text("Rated power", "额定功率"), "it_energy_uwh": Text("IT energy", "IT 用电"),
        "it_energy_kwh": Text("IT energy (kWh)", "IT 用电（kWh）"), "energy_uwh": Text("Facility energy", "设施用电"),
        "energy_kwh": Text("Facility energy (kWh)", "设施用电（kWh）"), "carbon_ug": Text("Carbon", "碳排放"),
        "carbon_g": Text("Carbon (g)", "碳排放（g）"), "factor": Text("Grid factor", "排放因子"), "first_start": Text("From", "自"),
        "last_end": Text("To", "至"), "seconds_before": Text("Seconds before", "此前秒数"),
    }  # fmt: skip
    CONSTRAINTS: ClassVar[dict[str, Text]] = {
        "site_open": Text("site not open", "站点未开放"),
        "node_present": Text("node gone", "节点未上报"),
        "accelerator_class": Text("no such card", "无此型号"),
        "rated": Text("no rate", "无费率"),
        "accelerator_capacity": Text("too few cards", "卡数不足"),
        "cpu_capacity": Text("too few cores", "核数不足"),
        "memory_capacity": Text("too little memory", "内存不足"),
        "isolation": Text("cannot isolate", "无法隔离"),
        "reachable": Text("not heard from", "失联"),
        "cpu_free": Text("cores busy", "核被占用"),
        "memory_free": Text("memory busy", "内存被占用"),
        "accelerator_free": Text("cards busy", "卡被占用"),
    }
