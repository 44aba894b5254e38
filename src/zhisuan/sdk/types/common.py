"""What every answer has in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """One JSON object of the API. Immutable; fields of a newer server are kept and do no harm.

    Units are in the names: ``_ucny`` 10⁻⁶ yuan, ``_fen`` 0.01 yuan, ``_udu`` 10⁻⁶ 度, ``_e8_per_du`` 10⁻⁸ yuan a 度,
    ``_ppm`` 10⁻⁶, ``_milli`` 10⁻³, ``_uwh`` 10⁻⁶ Wh, ``_ug`` 10⁻⁶ g CO₂e. Times are aware, in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True, protected_namespaces=())

    def as_json(self) -> dict[str, Any]:
        """The object as the API writes it, unknown fields included."""
        return self.model_dump(mode="json")


class Named(Answer):
    id: str
    name: str


class Credential(Answer):
    """A bearer secret; it is shown this once."""

    id: str
    secret: str

    @property
    def lost(self) -> bool:
        """Whether this answers a repetition: the first answer, the only one with the secret in it, never arrived."""
        return is_withheld(self.secret)


def is_withheld(secret: str) -> bool:
    """Whether a remark stands where a secret would: secrets are one word."""
    return secret.startswith("(")


class TokenCounts(Answer):
    """``cached_input`` is part of ``input``."""

    input: int = 0
    cached_input: int = 0
    output: int = 0
    calls: int = 0
