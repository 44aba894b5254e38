"""Quotas of organisations and projects."""

from zhisuan.sdk.transport import Transport, api_path
from zhisuan.sdk.types.quotas import QuotaPage, UsedAnew


class Quotas(Transport):
    def quotas(self, organisation: str | None = None, *, cursor: str | None = None) -> QuotaPage:
        """One's organisation and its projects; for the operator all tenants, or one with its projects."""
        return self._get(QuotaPage, "quotas", organisation=organisation, cursor=cursor)

    def set_quota(
        self,
        subject: str,
        *,
        guaranteed_cards_milli: int = 0,
        guaranteed_cores_milli: int = 0,
        limit_cards_milli: int | None = None,
        limit_cores_milli: int | None = None,
        weight: int = 1,
        parent: str | None = None,
        idempotency_key: str | None = None,
    ) -> QuotaPage:
        """Set the quota of an organisation (the operator) or of a project, by id or name; the whole of it, in thousandths."""
        body = {
            "guaranteed_cards_milli": guaranteed_cards_milli, "guaranteed_cores_milli": guaranteed_cores_milli,
            "limit_cards_milli": limit_cards_milli, "limit_cores_milli": limit_cores_milli, "weight": weight, "parent": parent,
        }  # fmt: skip
        answer = self._send("PUT", api_path("quotas", subject), json=body, idempotency_key=idempotency_key)
        found: QuotaPage = self._read(QuotaPage, answer)
        return found

    def count_used_anew(self, *, idempotency_key: str | None = None) -> UsedAnew:
        """For the operator: count what has been used of late anew from the leases."""
        return self._post(UsedAnew, "quotas", "used", json={}, idempotency_key=idempotency_key)
