"""Does a run that starts from pretrained weights need them, or a network, only once?"""

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor

from commands import Train, run_tiny
from gffpn.__main__ import main as verbs
from gffpn.backbones.timm import TimmBackbone
from gffpn.build.detector import build_detector, load_weights
from gffpn.config.check import check
from gffpn.config.compose import compose_config
from gffpn.deploy.finished import finished_run
from gffpn.suite.door import check_start
from gffpn.weights import WeightsError, load_torch, read_tensors

MODEL = "test_resnet.r160_in1k"  # timm's small model for tests
TIMM = ["backbone=timm", f"backbone.name={MODEL}", "neck=fpn"]


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Block the network and check after the test that nothing tried to use it."""
    tried: list[Any] = []

    def refuse(*words: Any, **options: Any) -> None:
        tried.append(words)
        raise OSError("no route to host")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield tried
    assert not tried


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Return the state dict of a whole model, classifier included."""
    torch.manual_seed(7)
    state: dict[str, Tensor] = timm.create_model(MODEL).state_dict()
    return state


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: dict[str, Tensor]) -> Path:
    """Write the weights to a cache folder as huggingface_hub lays it out after a download."""
    model = tmp_path / "hub" / f"models--timm--{MODEL}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0123abcd")
    (model / "snapshots" / "0123abcd").mkdir(parents=True)
    save_file(weights, model / "snapshots" / "0123abcd" / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def holds(backbone: TimmBackbone, weights: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, weights[key]) for key, value in backbone.body.state_dict().items())


def test_fetched_weights_are_used_without_asking_the_hub(
    hub: Path, weights: dict[str, Tensor], connections: list[Any]
) -> None:
    config = compose_config([*TIMM, "backbone.pretrained=true"])
    check_start(config)
    detector = build_detector(config, 2)
    assert isinstance(detector.backbone, TimmBackbone)
    assert not holds(detector.backbone, weights)
    load_weights(config, detector)
    assert holds(detector.backbone, weights)
    assert detector.backbone.training


@pytest.mark.slow
def test_only_the_start_of_a_run_needs_the_weights(
    hub: Path, tiny: list[str], connections: list[Any], train: Train
) -> None:
    overrides = [*tiny, *TIMM, "backbone.pretrained=true", "trainer.max_epochs=1"]
    folder = run_tiny(overrides)
    expected = torch.load(folder.checkpoints / "best.ckpt", weights_only=True)["state_dict"]
    shutil.rmtree(hub)
    code, printed = train("-m", *overrides)
    assert code == 0, printed
    assert "Already finished, skipped" in printed
    detector, _ = finished_run(folder.path).detector()
    key = "backbone.body.layer4.0.conv1.weight"
    assert torch.equal(detector.state_dict()[key], expected[f"detector.{key}"])
    folder.metrics.unlink()
    run_tiny(overrides)
    assert folder.status == "finished"
    verbs(["cost", *TIMM, "backbone.pretrained=true", "--json"])


def test_weights_that_cannot_be_fetched_are_named_with_the_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host\nand more lines")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    backbone = TimmBackbone(name=MODEL, pretrained=True)
    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(WeightsError) as refused:
        backbone.load_weights()
    (line,) = str(refused.value).splitlines()
    assert f"the weights of {MODEL} are not in {tmp_path} and cannot be fetched (no route to host)" in line
    assert "backbone.file=PATH" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pretrained": True, "file": "a.pt"}, "got backbone.file=a.pt as well, expected one of them"),
        ({"name": "resnet18.nonsense", "pretrained": True}, "does not have"),
        ({"name": "cspresnet50d", "pretrained": True}, "no pretrained weights for cspresnet50d"),
    ],
)
def test_a_source_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimmBackbone(**{"name": MODEL, **options})


# local files


def saved(path: Path, weights: dict[str, Tensor], wrapper: str | None) -> Path:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save({wrapper: weights, "epoch": 3} if wrapper else weights, path)
    return path


@pytest.mark.parametrize(
    ("name", "wrapper"),
    [("a.safetensors", None), ("a.pt", None), ("a.pt", "model"), ("a.pth", "state_dict")],
)
def test_local_weights_replace_the_random_ones(
    tmp_path: Path, weights: dict[str, Tensor], name: str, wrapper: str | None, connections: list[Any]
) -> None:
    file = saved(tmp_path / name, weights, wrapper)
    config = compose_config([*TIMM, f"backbone.file={file}"])
    check(config)
    check_start(config)
    detector = build_detector(config, 2)
    load_weights(config, detector)
    assert isinstance(detector.backbone, TimmBackbone)
    assert holds(detector.backbone, weights)


@pytest.mark.parametrize("whole", [True, False])
def test_the_names_of_a_model_and_of_its_feature_extractor_both_match(tmp_path: Path, whole: bool) -> None:
    name = "test_convnext.r160_in1k"  # stages.0 of the model is stages_0 of its feature extractor
    given = timm.create_model(name, features_only=not whole).state_dict()
    assert ("stem.0.weight" in given) is whole
    backbone = TimmBackbone(name=name, pretrained=False, file=str(saved(tmp_path / "a.pt", given, None)))
    backbone.load_weights()
    first = given["stem.0.weight" if whole else "stem_0.weight"]
    assert torch.equal(backbone.body.state_dict()["stem_0.weight"], first)


def test_tensors_that_do_not_match_are_counted_and_named(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / "a.pt"
    gone = {key: x for key, x in weights.items() if not key.startswith("layer4.0.conv")}
    grey = gone | {"conv1.0.weight": weights["conv1.0.weight"].sum(1, keepdim=True)}
    saved(path, grey, None)
    backbone = TimmBackbone(name=MODEL, pretrained=False, file=str(path))
    total = len(backbone.body.state_dict())
    with pytest.raises(ValueError, match="tensors of") as refused:
        backbone.check_weights()
    shape = tuple(weights["conv1.0.weight"].shape)
    assert str(refused.value) == (
        f"backbone.file={path}: {total - 3} of {total} tensors of {MODEL} match; "
        f"not in the file: layer4.0.conv1.weight, layer4.0.conv2.weight; "
        f"of another shape: conv1.0.weight {(shape[0], 1, *shape[2:])}, expected {shape} "
        f"(for images of 1 channel(s), not 3)"
    )


def test_batch_counters_may_be_missing(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    given = {key: x for key, x in weights.items() if not key.endswith("num_batches_tracked")}
    backbone = TimmBackbone(name=MODEL, pretrained=False, file=str(saved(tmp_path / "a.pt", given, None)))
    backbone.load_weights()
    assert holds(backbone, weights)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 and then nothing"])
def test_a_file_without_weights_is_named_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name}: [^\n]*$") as refused:
        read_tensors(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_state_dict_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"a.pt: holds no tensors by name"):
        read_tensors(tmp_path / "a.pt")


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_execute_code_is_refused_in_one_line(
    tmp_path: Path, zipped: bool, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "a.pt"
    torch.save({"model": Exploit()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        WeightsError, match=r"a.pt: refused, because loading it would execute code \(print\)"
    ) as e:
        load_torch(path)
    assert len(str(e.value).splitlines()) == 1
    assert "executed" not in capsys.readouterr().out


def test_a_missing_file_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"backbone.file: got '.*nothing.pt', expected a file of weights"):
        check(compose_config([*TIMM, f"backbone.file={tmp_path}/nothing.pt"]))


def test_damaged_weights_are_named_whatever_the_damage(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}, "epoch": 3}, whole)
    content = whole.read_bytes()
    damaged = tmp_path / "damaged.pt"
    for seed in range(60):
        random = np.random.default_rng(seed)
        changed = bytearray(content)
        for place in random.integers(len(content) // 2, size=2):
            changed[place] = int(random.integers(256))
        damaged.write_bytes(changed)
        with contextlib.suppress(WeightsError):  # or the damage does not matter
            load_torch(damaged)
    torch.save({"state_dict": {"conv.weight": torch.zeros(100_000)}}, whole)
    for length in (0, 4, 100, 5_000, 50_000, 200_000):
        damaged.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(WeightsError, match=r"damaged\.pt: "):
            load_torch(damaged)
    damaged.write_text("hello world")
    with pytest.raises(WeightsError, match=r"damaged\.pt: "):
        load_torch(damaged)
