"""Energy and carbon of a lease, in whole numbers.

With P the rated power of what is leased (mW), t the seconds it ran, PUE in thousandths and F the grid factor (gCO2/MWh):

    IT energy       = P·t / 3600 · 10³             10⁻⁶ Wh   (1 mW·s = 1/3600 mWh)
    facility energy = P·t·PUE / 3600               10⁻⁶ Wh   (the 10³ and the thousandths of PUE cancel)
    carbon          = P·t·PUE·F / (3600 · 10⁶)     10⁻⁶ g    (10⁻⁶ Wh = 10⁻¹² MWh)

Each is rounded once, half to even, from its exact product and never from another rounded figure. What falls between two
moments of a lease is cumulative-after minus cumulative-before, so the parts of a lease sum to the lease exactly.
"""

from dataclasses import dataclass

from zhisuan.base.money import div_half_even

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Footprint:
    """Energy in 10⁻⁶ Wh and carbon in 10⁻⁶ g CO2; ``carbon_ug`` is None where no grid factor is known."""

    it_energy_uwh: int
    energy_uwh: int
    carbon_ug: int | None


def footprint(
    *, power_milliwatts: int, pue_milli: int, g_per_mwh: int | None, seconds: int, seconds_before: int = 0
) -> Footprint:
    """The footprint of ``seconds`` that follow the first ``seconds_before`` of a lease.

    Raises ``ValueError`` for a negative time, power or factor, and for a PUE under 1 (a facility cannot use less than
    its machines).
    """
    if min(power_milliwatts, seconds, seconds_before, g_per_mwh or 0) < 0:
        raise ValueError("power, times and the grid factor must not be negative")
    if pue_milli < 1000:
        raise ValueError(f"a PUE of {pue_milli}/1000 is under 1")
    before = _until(seconds_before, power_milliwatts, pue_milli, g_per_mwh)
    after = _until(seconds_before + seconds, power_milliwatts, pue_milli, g_per_mwh)
    return Footprint(
        it_energy_uwh=after[0] - before[0],
        energy_uwh=after[1] - before[1],
        carbon_ug=None if g_per_mwh is None else after[2] - before[2],
    )


def _until(seconds: int, power_milliwatts: int, pue_milli: int, g_per_mwh: int | None) -> tuple[int, int, int]:
    """The three figures of the first ``seconds`` of a lease."""
    work = power_milliwatts * seconds
    return (
        div_half_even(work * 1000, SECONDS_PER_HOUR),
        div_half_even(work * pue_milli, SECONDS_PER_HOUR),
        div_half_even(work * pue_milli * (g_per_mwh or 0), SECONDS_PER_HOUR * 10**6),
    )
