"""The operator's judgement of a site: verified with the evidence of that moment, and priced by measurement if they say so."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict
from zhisuan.base.text import Text
from zhisuan.supply.evidence import PPM, Claimed, ClassEvidence, FoundDevice, measured_factor_ppm, open_flags
from zhisuan.supply.sites import change_state
from zhisuan.supply.tables import Device, DeviceClaim, Measurement, Node, RateFactor, Site, Verification

REASON_LENGTH_MAX = 500


def claims_of(tx: Tx, site_id: str) -> list[Claimed]:
    rows = tx.session.scalars(select(DeviceClaim).where(DeviceClaim.site_id == site_id).order_by(DeviceClaim.class_id))
    return [Claimed(r.class_id, r.count, r.tflops_milli) for r in rows]


def found_devices(tx: Tx, site_id: str) -> list[FoundDevice]:
    """The devices of a site's last report with the newest measurement of each precision."""
    devices = tx.session.scalars(
        select(Device)
        .join(Node, Node.id == Device.node_id)
        .where(Node.site_id == site_id, Node.present, Device.present)
        .order_by(Device.id)
    ).all()
    rows = tx.session.scalars(
        select(Measurement)
        .where(Measurement.device_id.in_([d.id for d in devices]))
        .order_by(Measurement.device_id, Measurement.precision, Measurement.at.desc())
        .ext(distinct_on(Measurement.device_id, Measurement.precision))
    ).all()
    speeds: dict[str, dict[str, int]] = {}
    for row in rows:
        speeds.setdefault(row.device_id, {})[row.precision] = row.mflops
    return [FoundDevice(d.class_id, d.kind, d.name, d.health, speeds.get(d.id, {})) for d in devices]


def verify(tx: Tx, site: Site, evidence: Sequence[ClassEvidence], *, accept: bool, note: str) -> Verification:
    """Let a joined site be sold. Raises ``Conflict`` for what is missing, broken or too slow, unless ``accept``."""
    flags = open_flags(evidence)
    if flags and not accept:
        raise Conflict(
            Text(
                f"The evidence for {site.name} does not hold: "
                + "; ".join(f"{f['class_id'] or 'unknown class'}: {f['en']}" for f in flags)
                + ".",
                f"站点 {site.name} 的证据存在问题："
                + "；".join(f"{f['class_id'] or '未知型号'}：{f['zh']}" for f in flags)
                + "。",
            ),
            Text(
                "Have the provider mend it, or accept it as it is (accept: true); price it by measurement if it is slow.",
                "请提供方整改；或确认接受（accept: true），性能不足时可改为按实测定价。",
            ),
            code="evidence_short",
            extra={"flags": flags},
        )
    change_state(tx, site, "verify")
    made = Verification(
        id=tx.ids.new("vrf"), site_id=site.id, at=tx.now, by=tx.actor, evidence=[e.as_dict() for e in evidence],
        accepted=flags, note=note,
    )  # fmt: skip
    tx.session.add(made)
    tx.session.flush()
    return made


def last_verification(tx: Tx, site_id: str) -> Verification | None:
    query = select(Verification).where(Verification.site_id == site_id)
    return tx.session.scalar(query.order_by(Verification.id.desc()).limit(1))


def price_by_measurement(tx: Tx, site: Site, row: ClassEvidence, reason: str) -> RateFactor:
    """From now on a class of this site is sold at its measured share of the published rate. Raises ``InvalidInput``."""
    return _set_factor(tx, site, row, measured_factor_ppm(row), reason)


def price_as_published(tx: Tx, site: Site, row: ClassEvidence, reason: str) -> RateFactor:
    """From now on a class of this site is sold at the whole published rate again."""
    return _set_factor(tx, site, row, PPM, reason)


def _set_factor(tx: Tx, site: Site, row: ClassEvidence, factor_ppm: int, reason: str) -> RateFactor:
    made = RateFactor(
        id=tx.ids.new("rtf"), site_id=site.id, class_id=str(row.class_id), factor_ppm=factor_ppm,
        measured_tflops_milli=row.measured_tflops_milli, published_rate_udu_per_hour=row.published_rate_udu_per_hour or 0,
        reason=reason.strip()[:REASON_LENGTH_MAX], set_at=tx.now, set_by=tx.actor,
    )  # fmt: skip
    tx.session.add(made)
    tx.session.flush()
    tx.emit("site.rate_factor", site.id, {"class_id": made.class_id, "factor_ppm": factor_ppm})
    return made


def rate_factors(tx: Tx, site_ids: Collection[str] | None = None) -> dict[tuple[str, str], int]:
    """The factor in force of each (site id, class id) that has one other than the whole, in 10⁻⁶; of all sites or of these."""
    query = (
        select(RateFactor.site_id, RateFactor.class_id, RateFactor.factor_ppm)
        .order_by(RateFactor.site_id, RateFactor.class_id, RateFactor.id.desc())
        .ext(distinct_on(RateFactor.site_id, RateFactor.class_id))
    )
    rows = tx.session.execute(query if site_ids is None else query.where(RateFactor.site_id.in_(site_ids))).all()
    return {(site_id, class_id): ppm for site_id, class_id, ppm in rows if ppm != PPM}


def factors_of_site(tx: Tx, site_id: str) -> Sequence[RateFactor]:
    """All there were, newest first."""
    query = select(RateFactor).where(RateFactor.site_id == site_id)
    return tx.session.scalars(query.order_by(RateFactor.id.desc())).all()
