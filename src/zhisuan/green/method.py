"""How the figures of a carbon statement come about, for the reader of the statement."""

from zhisuan.base.text import Text

ACCOUNTING = "location-based"
BASIS = "average"

METHOD: dict[str, Text] = {
    "measured": Text(
        "Measured: time. The site's agent meters the whole seconds in which each lease was active; "
        "they are the same seconds that the bill counts.",
        "实测部分：时间。由站点代理按整秒计量每个租约的实际运行时间，与账单所用的秒数完全一致。",
    ),
    "modelled": Text(
        "Modelled: power. It is the rated power of the leased share of the devices, fixed when the lease was placed, and "
        "taken as drawn in full for all of that time. No power meter was read. Parts of the host that were not leased are "
        "not counted.",
        "模型估算部分：功率。取租约所占设备份额的额定功率，在调度时确定，并假定运行期间始终满额。"
        "未读取任何功率计；主机中未租用的部件不计入。",
    ),
    "facility": Text(
        "Facility energy = IT energy × PUE. The PUE is the figure the provider registered for the site when the lease was "
        "placed.",
        "设施用电 = IT 设备用电 × PUE。PUE 为调度时供给方登记的站点数值。",
    ),
    "carbon": Text(
        "Carbon = facility energy × the average grid factor of the site's region (location-based). The factors are the "
        "official ones, count CO2 only, and lag by about two years, so each row names the year of its factor. Where no "
        "factor is published, no figure is given.",
        "碳排放 = 设施用电 × 站点所在地区的电网平均排放因子（基于位置法）。因子取自官方公布值，仅计二氧化碳，"
        "数据约滞后两年，因此逐行注明因子年份；未公布因子的地区不给出数值。",
    ),
    "market": Text(
        "Green certificates, green power contracts and offsets are not deducted: location-based and market-based figures "
        "are never mixed.",
        "绿证、绿电合同与碳抵消均不作扣减：基于位置法与基于市场法的数值不混用。",
    ),
    "embodied": Text(
        "Not included: embodied carbon of making and disposing of the hardware. No verified figure exists for most of the "
        "devices that sites register, and a guessed one would hide that.",
        "未包含：硬件制造与废弃环节的隐含碳。站点登记的设备大多没有经核实的数据，以估计值代替会掩盖这一事实。",
    ),
    "sci": Text(
        "SCI (ISO/IEC 21031) is ((E × I) + M) per functional unit R; here R is one job, or one service. E × I is given. M, the embodied "
        "part, is not included, so the figure is the operational part and not a complete SCI score.",
        "SCI（ISO/IEC 21031）=（(E × I) + M）/ R，此处功能单位 R 为一个作业（或一项服务）。本表给出 E × I；"
        "隐含碳 M 未包含，因此该数值只是运行部分，并非完整的 SCI 分值。",
    ),
    "rounding": Text(
        "Energy is kept in whole 10⁻⁶ Wh and carbon in whole 10⁻⁶ g, rounded once per lease, half to even; a period's part "
        "is the total at its end minus the total at its start, so periods add up to the lease and rows to the total.",
        "能耗以 10⁻⁶ Wh、碳排放以 10⁻⁶ g 的整数记录，每个租约只舍入一次（四舍六入五成双）；"
        "某一时段的数值为期末累计减期初累计，因此各时段之和等于租约总量，各行之和等于合计。",
    ),
}
