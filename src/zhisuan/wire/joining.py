"""Site agent → server before and beside its work: looking, joining, and a new credential.

| call | message | answer |
| --- | --- | --- |
| POST /wire/v1/hello | HelloRequest (a join token, to look at and not to use) | HelloAnswer: the server's time, and what the token would do |
| POST /wire/v1/join | JoinRequest, or SiteJoinRequest with what the provider says of the site | JoinAnswer |
| GET /wire/v1/site | – | SiteStanding: what the platform makes of this site |
| POST /wire/v1/credential | CredentialRequest: digest of a new credential, sent with the one in use | SiteStanding |

``hello`` and ``join`` need no credential.
"""

from typing import Literal

from pydantic import AwareDatetime, Field

from zhisuan.wire.common import Message
from zhisuan.wire.site import JoinRequest

TokenState = Literal["valid", "used", "revoked", "expired", "closed", "unknown"]


class HelloRequest(Message):
    token: str | None = Field(default=None, max_length=200)


class TokenReport(Message):
    """What a join token would do; the site's facts only for a valid one."""

    state: TokenState
    site_id: str | None = None
    site_name: str | None = None
    region: str | None = None
    pue_milli: int | None = None
    expires_at: AwareDatetime | None = None


class HelloAnswer(Message):
    server_time: AwareDatetime
    version: str
    token: TokenReport | None = None


class ClaimMessage(Message):
    """What the provider says it has of a device class; ``tflops_milli`` is FP16/BF16 dense of one device."""

    class_id: str = Field(max_length=100)
    count: int = Field(ge=1, le=1_000_000)
    tflops_milli: int | None = Field(default=None, ge=1)


class SiteRegistration(Message):
    """None leaves what the provider registered. Latitude and longitude in 10⁻⁶ degrees; tariff in 10⁻⁶ yuan a kWh."""

    region: str | None = Field(default=None, max_length=10)
    city: str | None = Field(default=None, max_length=60)
    latitude_e6: int | None = None
    longitude_e6: int | None = None
    pue_milli: int | None = None
    tariff_ucny_per_kwh: int | None = None
    claims: tuple[ClaimMessage, ...] | None = Field(default=None, max_length=200)
    echo_address: str | None = Field(default=None, max_length=260)


class SiteJoinRequest(JoinRequest):
    registration: SiteRegistration | None = None


class CredentialRequest(Message):
    credential_digest: str = Field(min_length=64, max_length=64)


class SiteStanding(Message):
    """``rotation_due``: the credential is as old as the platform lets one get."""

    site_id: str
    site_name: str
    state: str
    rotation_due: bool
    server_time: AwareDatetime
