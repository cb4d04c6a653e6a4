"""Pretrained weights of timm models, from the hub's cache, the hub, or a local file."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import timm
from huggingface_hub import constants, try_to_load_from_cache
from torch import Tensor, nn

from gffpn.weights import WeightsError, read_tensors

log = logging.getLogger(__name__)

SHOWN = 3
"""Number of tensors that a message names."""


def from_hub(name: str) -> nn.Module:
    """Return the timm model `name` as a feature extractor with its pretrained weights.

    They are fetched once and kept in the hub's own cache; a file in the cache is used without asking the hub
    for a newer one. Raises WeightsError if they are neither there nor can be fetched.
    """
    cached = in_cache(name)
    # a local file in place of the hub's; otherwise huggingface_hub asks for its date at each start
    source = {"file": str(cached), "custom_load": False} if cached else {}
    try:
        body: nn.Module = timm.create_model(
            name, features_only=True, pretrained=True, pretrained_cfg_overlay=source
        )
    except Exception as error:  # a failed download raises errors of several libraries without a common base
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"backbone.pretrained=true: the weights of {name} are not in {constants.HF_HUB_CACHE} and cannot "
            f"be fetched ({reason:.200}); repeat this command once with access to the hub, copy that folder "
            f"from a machine that has them, or use a local file: backbone.pretrained=false backbone.file=PATH"
        ) from error
    return body


def in_cache(name: str) -> Path | None:
    """Return the file in the hub's cache that timm would load for the model `name`, or None."""
    facts = timm.get_pretrained_cfg(name)
    if facts is None or not facts.hf_hub_id:
        return None
    repository, _, revision = facts.hf_hub_id.partition("@")
    stored = facts.hf_hub_filename or "pytorch_model.bin"
    safe = "model.safetensors" if stored == "pytorch_model.bin" else stored.replace(".bin", ".safetensors")
    for file in (safe.replace("pytorch_model", "model"), stored):
        found = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def from_file(path: Path, name: str, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a local file under the names in `own`, the state dict of the timm model `name`.

    The file may hold the whole model or its feature extractor, whose module names timm joins with `_`. Its
    other tensors, such as those of a classifier, are ignored.

    Raises ValueError, with the number that match and names of those that do not, if a tensor is missing or
    has another shape; WeightsError if the file cannot be read.
    """
    given = {_plain(key): value for key, value in read_tensors(path).items()}
    wanted = {
        key: x for key, x in own.items() if _plain(key) in given or not key.endswith("num_batches_tracked")
    }
    missing = [key for key in wanted if _plain(key) not in given]
    odd = [key for key, x in wanted.items() if key not in missing and given[_plain(key)].shape != x.shape]
    if missing or odd:
        matching = len(wanted) - len(missing) - len(odd)
        faults = [f"backbone.file={path}: {matching} of {len(wanted)} tensors of {name} match"]
        if missing:
            faults.append(f"not in the file: {_some(missing)}")
        if odd:
            faults.append(
                f"of another shape: {_some(_shapes(key, given[_plain(key)], own[key]) for key in odd)}"
            )
        raise ValueError("; ".join(faults))
    if unused := len(given) - len(wanted):
        log.info(
            "%s: %d tensors loaded, %d that the backbone does not have ignored", path, len(wanted), unused
        )
    return {key: given.get(_plain(key), x) for key, x in own.items()}


def _plain(key: str) -> str:
    return key.replace(".", "_").removeprefix("model_")


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _shapes(key: str, given: Tensor, own: Tensor) -> str:
    text = f"{key} {tuple(given.shape)}, expected {tuple(own.shape)}"
    if given.ndim == own.ndim == 4 and own.shape[1] == 3 and given.shape[::2] == own.shape[::2]:
        text += f" (for images of {given.shape[1]} channel(s), not 3)"
    return text
