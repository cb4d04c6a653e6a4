"""Do parts of a network start equal, whatever else the network contains?"""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from gffpn.config.compose import compose_config
from gffpn.layers.start import PerLevel, named_parts, start_as_built
from gffpn.pyramid import Level, Levels
from gffpn.streams import derive_seed, torch_stream, torch_substream
from golden import HEADS, NECKS, build, load
from test_necks import annotated, changed, settings

LEVELS = (Level(16, 4), Level(24, 8), Level(32, 16), Level(64, 32))
Name = tuple[int | str, ...]


def draw() -> float:
    return float(torch.rand(()))


def test_a_substream_depends_on_its_names_and_on_the_stream_around_it_only() -> None:
    drawn = {}
    with torch_stream(0, "neck"):
        before = torch.get_rng_state()
        for name in ("mix", "short"):
            with torch_substream(name, 8):
                drawn[name] = draw()
        assert torch.equal(torch.get_rng_state(), before)
        draw()
        with torch_substream("short", 8):
            assert draw() == drawn["short"]
        with torch_substream("short"), torch_substream(8):
            drawn["nested"] = draw()
    with torch_stream(1, "neck"), torch_substream("short", 8):
        drawn["other seed"] = draw()
    with torch_stream(derive_seed(0, "neck"), "short", 8):
        assert draw() == drawn["short"]
    assert len(set(drawn.values())) == len(drawn)


def test_a_part_starts_as_it_was_built_but_with_its_own_stream() -> None:
    one = nn.ModuleDict({"a": nn.Linear(3, 4), "b": PerLevel([8, 16], (nn.Linear(4, 4) for _ in range(2)))})
    other = nn.ModuleDict({"b": PerLevel([16], [nn.Linear(4, 4)])})
    for module in (one, other):
        torch.manual_seed(3)
        torch.rand(len(module))
        start_as_built(module)
    weights, others = parameters(one), parameters(other)
    assert set(others) == {("b", 16, "weight"), ("b", 16, "bias")}
    assert all(torch.equal(weights[name], value) for name, value in others.items())
    assert not torch.equal(weights["b", 8, "weight"], weights["b", 16, "weight"])
    assert weights["b", 8, "weight"].abs().max() <= 1 / 2  # as nn.Linear: 1 / sqrt(fan-in)


def parameters(module: nn.Module) -> dict[Name, Tensor]:
    """Return the parameters by the names of their streams, which have strides in place of positions."""
    return {
        (*name, key): value
        for name, part in named_parts(module)
        for key, value in part.named_parameters(recurse=False)
    }


def random_values(module: nn.Module) -> list[bytes]:
    """Return the bytes of each parameter that is random: of several different values."""
    values = (value.detach() for value in module.parameters())
    return [bytes(value.numpy()) for value in values if value.numel() > 3 and len(value.unique()) > 3]


def neck(name: str, *, seed: int = 0, drawn_before: int = 0, **changes: object) -> Any:
    with torch_stream(seed, "neck"):
        torch.rand(drawn_before)
        return build("neck", name, LEVELS, **changes)


@pytest.fixture(scope="module")
def necks() -> dict[str, Any]:
    return {name: neck(name) for name in NECKS}


def head(config: DictConfig, levels: Levels) -> dict[Name, Tensor]:
    """Return a head's parameters by list, stride and name."""
    with torch_stream(0, "head"):
        state = instantiate(config, levels, 3, _convert_="all").named_parameters()
    split = ((key.split(".", 2), value) for key, value in state)
    return {(tower, levels[int(i)].stride, rest): value for (tower, i, rest), value in split}


@pytest.mark.parametrize("name", HEADS)
def test_heads_on_different_necks_start_equal(name: str, necks: dict[str, Any]) -> None:
    """Every tensor of the same level, tower and shape is equal, whichever levels and widths a neck has."""
    config = compose_config([f"head={name}"]).head.network
    heads = {key: head(config, value.out_levels) for key, value in necks.items()}
    one = heads["fpn"]
    assert len({bytes(value.detach().numpy()) for value in one.values() if value.ndim > 1}) == sum(
        value.ndim > 1 for value in one.values()
    )
    for key, other in heads.items():
        alike = [place for place in one if place in other and one[place].shape == other[place].shape]
        assert alike
        assert [place for place in alike if not torch.equal(one[place], other[place])] == [], key


@pytest.mark.parametrize("name", NECKS)
def test_a_neck_draws_every_weight_from_a_stream_of_its_own(name: str, necks: dict[str, Any]) -> None:
    weights, again, other = necks[name], neck(name, drawn_before=7), neck(name, seed=1)
    values = random_values(weights)
    assert len(set(values)) == len(values), "two parts have the same stream"
    assert random_values(again) == values, "a part has no stream of its own: start_as_built is missing"
    assert not set(random_values(other)) & set(values)


# other values of the settings that are numbers or lists
VALUES: dict[str, Any] = {
    "depth": 1.0,
    "widen": 1.25,
    "out_channels": 128,
    "blocks": 1,
    "reduction": 2,
    "repeats": 2,
    "extra_levels": 2,
    "heads": 2,
    "mlp_ratio": 3,
    "lpam.dim": 32,
    "in_strides": [8, 16, 32],
    "guided": [8, 32],
}


def switched(name: str) -> Iterator[dict[str, Any]]:
    """Yield changes of one setting each: every choice, and a value of each number or list."""
    for key, value in settings(name):
        if isinstance(value, bool | str):
            hint = annotated(name, key)
            for choice in [True, False] if hint is bool else get_args(hint):
                if choice != value:
                    yield changed(key, choice)
        elif key in VALUES:
            yield changed(key, VALUES[key])
        else:
            assert isinstance(value, dict), f"{key}: add another value to VALUES"  # base, lpam


ONE_PER_CLASS = [name for name in NECKS if load("neck", name, size="n")["_target_"].split(".")[-2] == name]


@pytest.mark.parametrize("name", ONE_PER_CLASS)
def test_a_switch_does_not_change_how_other_parts_start(name: str, necks: dict[str, Any]) -> None:
    weights = parameters(necks[name])
    for changes in switched(name):
        other = parameters(neck(name, **changes))
        alike = [key for key in weights if key in other and same_layer(weights, other, key)]
        assert [key for key in alike if not torch.equal(weights[key], other[key])] == [], changes


def same_layer(weights: dict[Name, Tensor], other: dict[Name, Tensor], key: Name) -> bool:
    """Return whether a parameter and its layer's weight have equal shapes; a bias depends on the latter's."""
    return all(weights[k].shape == other[k].shape for k in (key, (*key[:-1], "weight")) if k in weights)


@pytest.mark.parametrize(
    ("name", "with_less", "with_more"),
    [
        ("fpn", {"c2": "unused"}, {"c2": "given"}),
        ("panet", {"c2": "unused"}, {"c2": "given"}),
        ("panet", {"c2": "merged"}, {"c2": "given"}),
        ("bifpn", {"c2": "unused"}, {"c2": "given"}),
        ("fpn_additive", {"in_strides": [8, 16, 32]}, {"in_strides": [4, 8, 16, 32]}),
        ("pafpn_additive", {"in_strides": [8, 16, 32]}, {"in_strides": [4, 8, 16, 32]}),
        ("fpn_additive", {"extra_levels": 0}, {"extra_levels": 2, "extra": "output"}),
        ("hsfpn", {"in_strides": [8, 16, 32]}, {"in_strides": [4, 8, 16, 32]}),
        ("bifpn_effdet", {"repeats": 2}, {"repeats": 3}),
        ("afpn", {"blocks": 1}, {"blocks": 3}),
        ("gffpn", {"guided": [8, 32]}, {}),
        ("gffpn", {"lpam": {"mix": "identity"}}, {}),
        ("gffpn", {"lpam": {"attention": "none"}}, {"lpam": {"attention": "se"}}),
        ("gffpn", {"lpam": {"attention": "none"}}, {}),
        ("gffpn", {}, {"short": "lsam"}),
        ("gffpn", {"residual": False}, {"residual": "concat"}),
    ],
    ids=str,
)
def test_an_added_layer_leaves_all_others_as_they_were(
    name: str, with_less: dict[str, Any], with_more: dict[str, Any]
) -> None:
    """This holds for values, whatever the parameters are called."""
    less, more = (set(random_values(neck(name, **changes))) for changes in (with_less, with_more))
    assert less <= more


@pytest.mark.parametrize(("guided", "base"), [("gffpn", "fpn_p2"), ("gfpanet", "panet_p2")])
def test_the_base_of_guided_stages_starts_as_without_them(
    guided: str, base: str, necks: dict[str, Any]
) -> None:
    assert random_values(necks[guided].base) == random_values(necks[base])
