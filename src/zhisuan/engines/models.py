"""What a cluster's own names of its accelerators stand for."""

from pydantic import BaseModel, ConfigDict, Field


class AcceleratorModel(BaseModel):
    """The name and memory that the vendor's tool would show: the catalogue knows the class of a card by them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    memory_mib: int = Field(gt=0)
    vendor: str = Field(default="", max_length=30)
