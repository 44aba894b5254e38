"""Sites: the provider's calls, and what an operator decides about them."""

from collections.abc import Iterator

from zhisuan.sdk.transport import Transport
from zhisuan.sdk.types.supply import Earnings, JoinToken, Site, SiteCreated


class Supply(Transport):
    def sites(self) -> Iterator[Site]:
        """The provider's own sites; all of them for the operator."""
        return self._pages(Site, "sites")

    def site(self, site_id: str) -> Site:
        return self._get(Site, "sites", site_id)

    def create_site(self, name: str, region: str, pue_milli: int, *, idempotency_key: str | None = None) -> SiteCreated:
        """An invited site and the token its agent joins with. ``region`` is ISO 3166-2, such as ``CN-AH``."""
        body = {"name": name, "region": region, "pue_milli": pue_milli}
        return self._post(SiteCreated, "sites", json=body, idempotency_key=idempotency_key)

    def new_join_token(self, site_id: str, *, idempotency_key: str | None = None) -> JoinToken:
        return self._post(JoinToken, "sites", site_id, "join-tokens", idempotency_key=idempotency_key)

    def verify_site(self, site_id: str) -> Site:
        return self._post(Site, "sites", site_id, "verify")

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
