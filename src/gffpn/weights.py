"""Files of weights, which are read without executing code from them."""

import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

log = logging.getLogger(__name__)

WRAPPERS = ("state_dict", "model")
"""Keys below which training scripts store a network's tensors."""


class WeightsError(ValueError):
    """Raised for weights that cannot be obtained or read; the message is one line and names their source."""


def load_torch(path: Path, map_location: Any = "cpu") -> Any:
    """Return the content of a file that `torch.save` wrote.

    Raises WeightsError if the file is damaged or if loading it would execute code, and OSError if it cannot
    be opened.
    """
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        if unsafe := re.search(r"GLOBAL (\S+)", str(error)):
            raise WeightsError(
                f"{path}: refused, because loading it would execute code ({unsafe[1]}); "
                f"expected a file of tensors and plain values"
            ) from error
        raise WeightsError(f"{path}: not a file of weights, or damaged") from error
    except Exception as error:  # whatever damaged bytes lead to, such as UnicodeDecodeError or KeyError
        # for a file that was cut short, torch seeks before its beginning: an error without the name of a file
        if isinstance(error, OSError) and error.filename:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: cannot be loaded: {reason:.200}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file or of a torch state dict by name.

    The state dict may be below one of the keys `WRAPPERS`. Raises WeightsError if there are no tensors, and
    in the cases of `load_torch`.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise WeightsError(f"{path}: not a safetensors file, or damaged: {error}") from error
    content = load_torch(path)
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    items = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(name): value for name, value in items if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors by name, expected a state dict")
    return tensors


def load_matching(module: nn.Module, path: Path, *, prefix: str) -> None:
    """Load the tensors of a file whose names and shapes are those of the module's, and log the others.

    `prefix` is removed from the names in the file. Raises WeightsError if there is no such tensor, and in the
    cases of `read_tensors`.
    """
    found = {name.removeprefix(prefix): value for name, value in read_tensors(path).items()}
    own = module.state_dict()
    taken = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if not taken:
        raise WeightsError(f"{path}: no tensor in it has the name and the shape of one of the network's")
    module.load_state_dict(taken, strict=False)
    log.info("%s: %d of the network's %d tensors taken from it", path, len(taken), len(own))
    for names, words in (
        (own.keys() - taken.keys(), "start at random"),
        (found.keys() - own.keys(), "unused"),
    ):
        if names:
            log.info("%d tensors %s: %s", len(names), words, _shortened(sorted(names)))


def _shortened(names: list[str], shown: int = 6) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
