"""Settings of one installation, from the environment (``ZHISUAN_…``) or given by the command line."""

import os
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """Root keeps its data in ``/var/lib``: the database user must reach it, and a home folder should stay closed."""
    return Path("/var/lib/zhisuan") if os.geteuid() == 0 else user_data_path("zhisuan", appauthor=False)


class Settings(BaseSettings):
    """All that an operator can set; ``docs/reference/settings.md`` is generated from this class."""

    model_config = SettingsConfigDict(env_prefix="ZHISUAN_", extra="ignore")

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder that keeps everything of this installation: database, artefacts, runs, credentials.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL address (postgresql://…). Not set: an embedded PostgreSQL in the data directory.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the server and the gateway listen on.")
    server_port: int = Field(default=8620, description="Port of API and console; 0 picks a free one.")
    gateway_port: int = Field(default=8621, description="Port of the model gateway; 0 picks a free one.")
    workspace_url: str | None = Field(
        default=None,
        description="Address of a workspace in browsers, its host name with {id}: https://{id}.workspaces.example.com. Not set: "
        "http://{id}.localhost with the gateway's port where the gateway is on loopback, else none.",
    )
    seal_keys: SecretStr | None = Field(
        default=None,
        description="Fernet keys that tenants' secrets are sealed with, comma-separated: the first seals, all open. The same for "
        "all servers of one database. Not set: a key in the data directory (seal.key), made at the first start.",
    )
    artefact_url: str | None = Field(
        default=None, description="fsspec address of the artefact store. Not set: a folder in the data directory."
    )
    artefact_endpoint: str | None = Field(
        default=None, description="Address of an S3-compatible service for an artefact_url of s3://…; not set: that of AWS."
    )
    artefact_region: str | None = Field(default=None, description="Region of the S3 bucket, where the service wants one.")
    artefact_access_key: SecretStr | None = Field(
        default=None, description="Access key of the S3 bucket. Not set: what the machine itself is given (environment, profile, role)."
    )
    artefact_secret_key: SecretStr | None = Field(default=None, description="Secret key that belongs to the access key.")
    volume_bytes_max: int = Field(
        default=1024**4, ge=0, description="What the volumes of one organisation may hold, in bytes, unless the operator sets another quota."
    )
    content_keep_hours: int = Field(
        default=24, ge=1, description="Uploaded content that no volume names, and unfinished uploads, are kept for so long, in hours."
    )
    deleted_volume_days: int = Field(
        default=7, ge=0, description="How long the versions of a deleted volume are kept, in days."
    )
    upload_bytes_max: int = Field(default=256 * 1024**2, description="Largest single upload, in bytes.")
    checkpoint_bytes_max: int = Field(
        default=16 * 1024**3, ge=1, description="Largest checkpoint folder of one workload that is kept, in bytes."
    )
    session_hours: int = Field(default=12, description="How long a console sign-in lasts, in hours.")
    lease_ttl_seconds: int = Field(
        default=90, description="A site that has not reported for this long is shown as unreachable."
    )
    spot_least_seconds: int = Field(
        default=60, ge=0, description="Spot work that has been given a place keeps it for at least so long, in seconds."
    )
    credential_days: int = Field(
        default=30, ge=1, description="A site's agent makes itself a new credential when the one it has is this old, in days."
    )
    measured_share_min_percent: int = Field(
        default=80, ge=1, le=100, description="Devices measured below this share of what is claimed are flagged, in percent."
    )
    output_bytes_max: int = Field(default=1024**3, ge=1, description="Most output that is kept of one run, in bytes.")
    output_days: int = Field(
        default=90, ge=1, description="How long the output of ended work is kept, in days; artefacts are kept until deleted."
    )
    console: bool = Field(default=True, description="Serve the web console beside the API.")
    region: str = Field(
        default="CN-AH", description="ISO 3166-2 province of the embedded site; picks its grid emission factor."
    )
    pue_milli: int = Field(default=1420, ge=1000, description="PUE of the embedded site, in thousandths.")
    allow_unisolated: bool = Field(
        default=False, description="Let the embedded site run tenants' work without isolation where none can be had."
    )

    @property
    def artefact_address(self) -> str:
        return self.artefact_url or f"file://{self.data_dir.absolute() / 'artefacts'}"

    @property
    def artefact_options(self) -> dict[str, Any]:
        """What fsspec needs to reach the store. A listing or an address is never remembered: other servers change both."""
        if not self.artefact_address.startswith("s3://"):
            return {}
        client = {"region_name": self.artefact_region} if self.artefact_region else {}
        return {
            "endpoint_url": self.artefact_endpoint,
            "key": self.artefact_access_key.get_secret_value() if self.artefact_access_key else None,
            "secret": self.artefact_secret_key.get_secret_value() if self.artefact_secret_key else None,
            "client_kwargs": client,
            "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 4, "mode": "standard"}},
            "use_listings_cache": False,
        }
