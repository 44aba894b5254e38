"""Finding and checking a model directory before anything heavy is loaded."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


class CannotServe(Exception):
    """The server cannot start; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class ModelDirectory:
    """A directory that holds a model in Hugging Face form, with its weights as safetensors."""

    path: Path

    @property
    def created_seconds(self) -> int:
        """When the model was written, as Unix seconds."""
        return int((self.path / "config.json").stat().st_mtime)


def find_model_directory(path: Path) -> ModelDirectory:
    """``path`` itself, or the one folder in it that holds a model (as when an archive was unpacked there).

    Raises CannotServe where there is none, several, or one whose weights or tokenizer are missing.
    """
    if not path.is_dir():
        raise CannotServe(f"{path} is not a directory; give the folder that holds the model's config.json")
    if not (path / "config.json").is_file():
        inside = sorted(child for child in path.iterdir() if (child / "config.json").is_file())
        if len(inside) != 1:
            names = ", ".join(child.name for child in inside)
            have = f"it holds several models ({names})" if inside else "it holds no config.json"
            raise CannotServe(f"{path} is not a model in Hugging Face form: {have}; give the folder of one model")
        path = inside[0]
    if not any(path.glob("*.safetensors")):
        raise CannotServe(
            f"{path} has no weights as safetensors; other formats can run code when they are read, so they are not "
            "loaded. Save the model again with save_pretrained()"
        )
    if not any((path / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")):
        raise CannotServe(f"{path} has no tokenizer; save it there with tokenizer.save_pretrained()")
    return ModelDirectory(path)


def require_training_extra() -> None:
    """Raises CannotServe when PyTorch or transformers is not installed."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise CannotServe(
            f"serving a model needs {' and '.join(missing)}, which this Python does not have; install the extra: "
            "pip install 'zhisuan[train]'"
        )
