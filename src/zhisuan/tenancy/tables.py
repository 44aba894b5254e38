"""Organisations, people, projects and keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Organisation(Table):
    """A party on the platform: the operator, a provider of compute, a tenant, or the city."""

    __tablename__ = "tenancy_organisation"
    __table_args__ = (CheckConstraint("kind IN ('operator','provider','tenant','city')", name="kind"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    region: Mapped[str | None]
    created_at: Mapped[datetime]


class User(Table):
    """A person who signs in. ``email`` is kept in lower case."""

    __tablename__ = "tenancy_user"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    language: Mapped[str] = mapped_column(server_default="zh")
    created_at: Mapped[datetime]


class Member(Table):
    """A person's role in an organisation."""

    __tablename__ = "tenancy_member"

    org_id: Mapped[str] = mapped_column(ForeignKey("tenancy_organisation.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("tenancy_user.id"), primary_key=True, index=True)
    role: Mapped[str]
    created_at: Mapped[datetime]


class Project(Table):
    """What an organisation's work and cost are grouped by."""

    __tablename__ = "tenancy_project"
    __table_args__ = (UniqueConstraint("org_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("tenancy_organisation.id"))
    name: Mapped[str]
    created_at: Mapped[datetime]


class ApiKey(Table):
    """A bearer secret of a person in an organisation, acting in one role; only its digest is kept."""

    __tablename__ = "tenancy_api_key"

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(ForeignKey("tenancy_organisation.id"), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("tenancy_user.id"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("tenancy_project.id"))
    role: Mapped[str]
    name: Mapped[str]
    hint: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class LoginSession(Table):
    """A sign-in of the console; its secret is the bearer of the page's API calls."""

    __tablename__ = "tenancy_session"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("tenancy_user.id"))
    org_id: Mapped[str] = mapped_column(ForeignKey("tenancy_organisation.id"))
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class SignInFailure(Table):
    """A failed sign-in; too many of one address in a short time are slowed."""

    __tablename__ = "tenancy_sign_in_failure"
    __table_args__ = (Index(None, "email", "at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    at: Mapped[datetime]


class PlatformSecret(Table):
    """Secrets the parts of one installation share: the digest of the gateway's credential."""

    __tablename__ = "tenancy_platform_secret"

    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime]
