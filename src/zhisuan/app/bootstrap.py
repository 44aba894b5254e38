"""What a new installation needs before anyone can use it: prices, the operator, and the gateway's credential."""

from dataclasses import dataclass

from sqlalchemy import select

from zhisuan.api.auth import GATEWAY_SECRET
from zhisuan.app.installation import Secrets
from zhisuan.base.db import Database, Tx
from zhisuan.catalog import service as catalog
from zhisuan.catalog.price_file import default_price_book
from zhisuan.catalog.tables import PriceBook
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.tenancy import service as tenancy
from zhisuan.tenancy.tables import Organisation, User

OPERATOR_EMAIL = "operator@localhost"
PROVIDER_EMAIL = "provider@localhost"
OPERATOR_NAME = "运营方 Operator"
PROVIDER_NAME = "本机提供方 This machine"
SITE_NAME = "本机 this-machine"


@dataclass(frozen=True, slots=True)
class EmbeddedSite:
    """The site of this machine; ``join_token`` only while its agent has not joined."""

    site_id: str
    join_token: str | None


def prepare(database: Database, secrets: Secrets) -> None:
    """Make what is not there yet; safe to repeat, and safe when interrupted anywhere."""
    with database.begin("bootstrap") as tx:
        if tx.session.scalar(select(PriceBook.version).limit(1)) is None:
            catalog.publish_price_book(tx, default_price_book(), tx.now)
        if _user(tx, OPERATOR_EMAIL) is None:
            tenancy.sign_up(
                tx, kind="operator", org_name=OPERATOR_NAME, email=OPERATOR_EMAIL, name="operator",
                password=secrets.operator_password,
            )  # fmt: skip
        tenancy.keep_platform_secret(tx, GATEWAY_SECRET, secrets.gateway_credential)


def embedded_site(
    database: Database, secrets: Secrets, *, region: str, pue_milli: int, has_credential: bool
) -> EmbeddedSite:
    """This machine as a site of a provider of its own. An agent that has lost its credential gets a new token."""
    with database.begin("bootstrap") as tx:
        provider = _user(tx, PROVIDER_EMAIL)
        if provider is None:
            tenancy.sign_up(
                tx, kind="provider", org_name=PROVIDER_NAME, email=PROVIDER_EMAIL, name="provider",
                password=secrets.operator_password,
            )  # fmt: skip
        org = tx.session.scalars(select(Organisation).where(Organisation.name == PROVIDER_NAME)).one()
        site = tx.session.scalar(select(Site).where(Site.provider_id == org.id, Site.name == SITE_NAME))
        if site is None:
            made = supply.create_site(tx, provider_id=org.id, name=SITE_NAME, region=region, pue_milli=pue_milli)
            return EmbeddedSite(made.site.id, made.token)
        if site.joined_at is None or not has_credential:
            return EmbeddedSite(site.id, supply.invite_again(tx, site).token)
        return EmbeddedSite(site.id, None)


def open_embedded_site(database: Database, site_id: str) -> bool:
    """Verify and open this machine's site once it has reported what it has: its owner and the operator are the same
    person. True when there is nothing more to do."""
    with database.begin("bootstrap") as tx:
        site = tx.session.get_one(Site, site_id, with_for_update=True)
        if site.state == "joining" and site.engine:
            supply.change_state(tx, site, "verify")
        if site.state == "verified":
            supply.change_state(tx, site, "open")
        return site.state not in ("invited", "joining")


def _user(tx: Tx, email: str) -> User | None:
    return tx.session.scalar(select(User).where(User.email == email))
