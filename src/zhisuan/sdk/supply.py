"""Sites: the provider's calls, and what an operator decides about them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from zhisuan.sdk.transport import Transport
from zhisuan.sdk.types.supply import (
    Condition,
    DemandPlace,
    Earnings,
    EngineAccount,
    Evidence,
    JoinToken,
    PlaceLink,
    Reconciliation,
    Site,
    SiteCreated,
    SiteEarnings,
    SiteLink,
    TokenInfo,
)


class Supply(Transport):
    def sites(self) -> Iterator[Site]:
        """The provider's own sites; all of them for the operator."""
        return self._pages(Site, "sites")

    def site(self, site_id: str) -> Site:
        return self._get(Site, "sites", site_id)

    def create_site(
        self, name: str, region: str, pue_milli: int, *, idempotency_key: str | None = None, **more: Any
    ) -> SiteCreated:
        """An invited site and the token its agent joins with. ``region`` is ISO 3166-2, such as ``CN-AH``; ``more``:
        ``city``, ``latitude_e6``, ``longitude_e6``, ``tariff_ucny_per_kwh``, ``claims``."""
        body = {"name": name, "region": region, "pue_milli": pue_milli, **more}
        return self._post(SiteCreated, "sites", json=body, idempotency_key=idempotency_key)

    def join_tokens(self, site_id: str) -> Iterator[TokenInfo]:
        """All there were, newest first, without what they are."""
        return self._pages(TokenInfo, "sites", site_id, "join-tokens")

    def new_join_token(self, site_id: str, *, hours: int = 24, idempotency_key: str | None = None) -> JoinToken:
        return self._post(
            JoinToken, "sites", site_id, "join-tokens", json={"hours": hours}, idempotency_key=idempotency_key
        )

    def revoke_join_token(self, site_id: str, token_id: str) -> None:
        """End a token that has not been used."""
        self._delete("sites", site_id, "join-tokens", token_id)

    def site_evidence(self, site_id: str) -> Evidence:
        """Claimed, found, nominal, published and measured, class by class."""
        return self._get(Evidence, "sites", site_id, "evidence")

    def site_reconciliation(self, site_id: str) -> Reconciliation:
        """Whether the site's engine counted what the platform metered there."""
        return self._get(Reconciliation, "sites", site_id, "reconciliation")

    def engine_accounts(self, site_id: str | None = None, *, verdict: str | None = None) -> Iterator[EngineAccount]:
        """What the sites' engines say of leases, newest first (operator). ``verdict``: ``differs`` for all that do not agree."""
        return self._pages(EngineAccount, "engine-accounts", site_id=site_id, verdict=verdict)

    def verify_site(self, site_id: str, *, accept: bool = False, note: str = "") -> Site:
        """Let the site be sold (operator). ``accept``: although the evidence has flags that block."""
        return self._post(Site, "sites", site_id, "verify", json={"accept": accept, "note": note})

    def price_site(self, site_id: str, class_id: str, basis: str, reason: str) -> Site:
        """Sell a class of this site by its ``measured`` speed, or by the ``published`` rate again (operator)."""
        body = {"class_id": class_id, "basis": basis, "reason": reason}
        return self._post(Site, "sites", site_id, "pricing", json=body)

    def site_links(self, site_id: str) -> tuple[SiteLink, ...]:
        """Round trips measured between this site and the others, nearest first."""
        return self._items(SiteLink, "sites", site_id, "links")

    def places(self) -> tuple[DemandPlace, ...]:
        """Demand places by name: a workload file names them under ``zhisuan.latency``."""
        return self._items(DemandPlace, "places")

    def add_place(self, name: str, latitude_e6: int, longitude_e6: int) -> DemandPlace:
        """A place where users are (operator)."""
        return self._post(DemandPlace, "places", json={"name": name, "latitude_e6": latitude_e6, "longitude_e6": longitude_e6})

    def remove_place(self, place_id: str) -> DemandPlace:
        """With its round trips (operator)."""
        return self._post(DemandPlace, "places", place_id, "remove", json={})

    def place_links(self, place_id: str) -> tuple[PlaceLink, ...]:
        """Round trips between a demand place and sites, nearest first (operator)."""
        return self._items(PlaceLink, "places", place_id, "links")

    def site_places(self, site_id: str) -> tuple[PlaceLink, ...]:
        """Round trips between a site and demand places, nearest first."""
        return self._items(PlaceLink, "sites", site_id, "places")

    def set_place_link(
        self, place_id: str, site_id: str, *, direction: str, method: str, source: str = "", round_trip_us: int | None = None
    ) -> PlaceLink:
        """Keep a round trip (operator): ``direction`` ``from_place`` or ``from_site``, ``method`` ``measured``, ``stated`` or
        ``computed`` (then without a time)."""
        body = {"site_id": site_id, "direction": direction, "method": method, "source": source, "round_trip_us": round_trip_us}
        return self._post(PlaceLink, "places", place_id, "links", json=body)

    def site_conditions(self, site_id: str) -> tuple[Condition, ...]:
        return self._items(Condition, "sites", site_id, "conditions")

    def set_site_conditions(self, site_id: str, *, valid_from: datetime | None = None, **figures: Any) -> Site:
        """``figures``: ``pue_milli``, ``tariff_ucny_per_kwh`` and ``green_ppm`` (all from ``valid_from``), ``city``, ``latitude_e6``,
        ``longitude_e6``, ``echo_address``."""
        start = {} if valid_from is None else {"valid_from": valid_from.isoformat()}
        return self._post(Site, "sites", site_id, "conditions", json={**figures, **start})

    def set_site_claims(self, site_id: str, claims: Sequence[dict[str, Any]]) -> Site:
        """``{"class_id": …, "count": …, "tflops_milli": …}`` each; replaces what was claimed before."""
        return self._post(Site, "sites", site_id, "claims", json={"claims": list(claims)})

    def set_site_windows(self, site_id: str, windows: Sequence[dict[str, Any]], zone: str = "Asia/Shanghai") -> Site:
        """The weekly hours in which devices are offered, ``{"days": ["mon"], "from": "22:00", "to": "08:00"}`` each; none:
        always."""
        return self._post(Site, "sites", site_id, "windows", json={"zone": zone, "windows": list(windows)})

    def take_back(
        self,
        site_id: str,
        *,
        notice_seconds: int = 600,
        back_at: datetime | None = None,
        until: datetime | None = None,
        reason: str = "",
    ) -> Site:
        """Take the devices back with notice to the work on them; ``until``: offered again by itself then."""
        body: dict[str, Any] = {"notice_seconds": notice_seconds, "reason": reason}
        body |= {n: at.isoformat() for n, at in (("back_at", back_at), ("until", until)) if at is not None}
        return self._post(Site, "sites", site_id, "take-back", json=body)

    def offer_again(self, site_id: str) -> Site:
        """End a recall."""
        return self._post(Site, "sites", site_id, "offer-again")

    def revoke_site(self, site_id: str, reason: str = "") -> Site:
        """Shut the site's agent out at once; a new join token lets one in again."""
        return self._post(Site, "sites", site_id, "revoke", json={"reason": reason})

    def site_earnings(self, site_id: str) -> SiteEarnings:
        return self._get(SiteEarnings, "sites", site_id, "earnings")

    def open_site(self, site_id: str) -> Site:
        """Let the site take work."""
        return self._post(Site, "sites", site_id, "open")

    def drain_site(self, site_id: str) -> Site:
        """No new work; what runs there runs to its end."""
        return self._post(Site, "sites", site_id, "drain")

    def close_site(self, site_id: str) -> Site:
        return self._post(Site, "sites", site_id, "close")

    def earnings(self, month: str | None = None) -> Earnings:
        """What the provider has earned, over all time or in a bill month ``YYYY-MM``."""
        return self._get(Earnings, "earnings", month=month)
