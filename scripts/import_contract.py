"""Writes .importlinter from the table of who may import whom (docs/architecture.md shows the same table).

Run it after changing the table: python -m scripts.import_contract
"""

from pathlib import Path

SERVICES = (
    "tenancy",
    "supply",
    "catalog",
    "workload",
    "placement",
    "execution",
    "models",
    "data",
    "usage",
    "ledger",
    "settlement",
    "green",
)
TABLE: dict[str, tuple[str, ...]] = {
    "base": (),
    "wire": (),
    "tenancy": (),
    "supply": ("tenancy",),
    "catalog": ("supply",),
    "workload": ("tenancy", "catalog"),
    "placement": ("supply", "catalog", "workload"),
    "execution": ("supply", "workload", "placement", "wire"),
    "engines": ("wire",),
    "site": ("engines", "wire"),
    "models": ("tenancy", "catalog", "workload", "data"),
    "data": (),
    "gateway": ("wire",),
    "usage": ("execution", "wire"),
    "ledger": ("tenancy", "catalog", "usage"),
    "settlement": ("supply", "catalog", "ledger"),
    "green": ("supply", "usage"),
    # usage and green: their pure formulas, so that a simulated bill and footprint are the real ones.
    "simulation": ("supply", "catalog", "workload", "placement", "gateway", "usage", "green"),
    "sdk": (),
    "cli": ("sdk",),
    "console": ("sdk",),
    "api": (*SERVICES, "wire"),
    "app": (*SERVICES, "simulation", "wire", "api", "site", "engines", "gateway", "sdk", "cli", "console"),
    "testing": (*SERVICES, "wire", "api", "site", "engines", "gateway", "sdk", "cli", "console"),
}
DATABASE = (
    "zhisuan.base.db",
    "zhisuan.base.outbox",
    "zhisuan.base.idempotency",
    "zhisuan.base.postgres",
    "sqlalchemy",
    "psycopg",
)
WITHOUT_DATABASE = ("wire", "placement", "engines", "site", "gateway", "sdk", "cli", "console")


def contracts() -> str:
    parts = ["[importlinter]", "root_package = zhisuan", "include_external_packages = True", ""]
    for package, allowed in TABLE.items():
        forbidden = [p for p in TABLE if p not in (package, "base", *allowed)]
        if package == "base":
            forbidden = [p for p in TABLE if p != "base"]
        parts += [
            f"[importlinter:contract:{package}]",
            f"name = {package} imports base" + (", " + ", ".join(allowed) if allowed else "") + " only",
            "type = forbidden",
            "allow_indirect_imports = True",
            f"source_modules = zhisuan.{package}",
            "forbidden_modules =",
            *(f"    zhisuan.{p}" for p in forbidden),
            "",
        ]
    parts += [
        "[importlinter:contract:no-database]",
        "name = what runs away from the server never touches the database",
        "type = forbidden",
        "allow_indirect_imports = True",
        "source_modules =",
        *(f"    zhisuan.{p}" for p in WITHOUT_DATABASE),
        "forbidden_modules =",
        *(f"    {m}" for m in DATABASE),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(__file__).parents[1] / ".importlinter").write_text(contracts())
