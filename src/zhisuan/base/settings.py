"""Settings of one installation, from the environment (``ZHISUAN_…``) or given by the command line."""

import os
from pathlib import Path

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
    artefact_url: str | None = Field(
        default=None, description="fsspec address of the artefact store. Not set: a folder in the data directory."
    )
    upload_bytes_max: int = Field(default=256 * 1024**2, description="Largest single upload, in bytes.")
    session_hours: int = Field(default=12, description="How long a console sign-in lasts, in hours.")
    lease_ttl_seconds: int = Field(
        default=90, description="A site that has not reported for this long is shown as unreachable."
    )
    credential_days: int = Field(
        default=30, ge=1, description="A site's agent makes itself a new credential when the one it has is this old, in days."
    )
    measured_share_min_percent: int = Field(
        default=80, ge=1, le=100, description="Devices measured below this share of what is claimed are flagged, in percent."
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
