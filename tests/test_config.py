"""Are conf/ and its experiments/ consistent with each other and with the code?"""

import inspect
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
import yaml
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from gffpn.build.detector import build_detector, build_recipe
from gffpn.config.check import check
from gffpn.config.compose import compose_config, image_size
from gffpn.config.overrides import CONF
from gffpn.config.resolve import resolved
from gffpn.runs.identity import run_name
from gffpn.stats.question import check_contrasts, question

GROUPS = ["size", "backbone", "neck", "head", "data", "augment", "optim", "trainer", "logger", "scale"]
CHOICES = [f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
EXPERIMENTS = sorted((CONF / "experiments").glob("*.yaml"))


def nodes_with_target(path: Path) -> Iterator[tuple[str, dict]]:
    def walk(node: object, where: str) -> Iterator[tuple[str, dict]]:
        if isinstance(node, dict):
            if "_target_" in node:
                yield where, node
            for key, value in node.items():
                yield from walk(value, f"{where}.{key}")

    yield from walk(yaml.safe_load(path.read_text()), path.stem)


TARGETS = [
    pytest.param(node, id=where)
    for group in GROUPS
    for path in sorted((CONF / group).glob("*.yaml"))
    for where, node in nodes_with_target(path)
]


@pytest.mark.parametrize("node", TARGETS)
def test_yaml_lists_every_argument(node: dict) -> None:
    parameters = inspect.signature(get_class(node["_target_"])).parameters.values()
    keyword_only = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert not [p for p in parameters if p.kind is p.VAR_KEYWORD]
    assert set(node) - {"_target_", "_partial_", "defaults"} == keyword_only


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_resolves_and_is_valid(choice: str) -> None:
    config = compose_config([choice])
    check(config)
    plain = resolved(config)
    assert "hydra" not in plain
    assert run_name(plain, "data")


def numbers(node: dict, where: str = "") -> Iterator[tuple[str, float]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{where}{key}.")
        elif isinstance(key, str) and type(value) in (int, float) and value == int(value):
            yield f"{where}{key}", value


@pytest.mark.parametrize("choice", ["", *CHOICES])
def test_a_number_and_its_decimal_form_are_one_run(choice: str) -> None:
    base = resolved(compose_config([])) if choice else {}
    chosen = [choice] if choice else []
    composed = compose_config(chosen)
    plain = resolved(composed)
    own = {group: node for group, node in plain.items() if node != base.get(group)}
    for key, value in numbers(own):
        if key in ("trainer.limit_train_batches", "trainer.limit_eval_batches"):
            continue  # 1 is a number of batches, 1.0 a share
        other = composed.copy()
        OmegaConf.update(other, key, int(value) if isinstance(value, float) else float(value))
        try:
            check(other)
        except ValueError:
            continue  # 16.0 images in a batch
        assert run_name(resolved(other), "data") == run_name(plain, "data"), key


SAME_SETTINGS = [
    ("data.test_dials=[{match: 1}, {side_range: [8, 8]}]", "[{match: 1.0}, {side_range: [8.0, 8.0]}]"),
    ("data.test_dials=[{match: [0, 1], blur: 2}]", "[{blur: 2.0, match: [0.0, 1.0]}]"),
    ("data.classes=[1, 2]", "['1', '2']"),
    ("data.splits={train: [1]}", "{train: ['1']}"),
]


@pytest.mark.parametrize(("one", "other"), SAME_SETTINGS)
def test_a_number_inside_a_list_or_a_mapping_has_one_form(one: str, other: str) -> None:
    key = one.partition("=")[0]
    data = ["data=coco", "data.root=/set"] if key != "data.test_dials" else []
    plain, again = (resolved(compose_config([*data, word])) for word in (one, f"{key}={other}"))
    assert plain["data"] == again["data"]
    assert run_name(plain, "data") == run_name(again, "data")


@pytest.mark.parametrize("node", TARGETS)
def test_no_setting_has_an_unknown_type(node: dict) -> None:
    # a number of type Any would have two forms, and the run two names
    signature = inspect.signature(get_class(node["_target_"]))
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert not untyped(parameter.annotation), name


def untyped(hint: object) -> bool:
    if get_origin(hint) is Annotated:
        return False  # the values have the types of a class's fields
    return hint is Any or any(map(untyped, get_args(hint)))


def test_the_name_of_the_default_run_stays() -> None:
    # another name trains again what users have: change it only with a setting that changes the result
    plain = resolved(compose_config(["trainer.precision=32-true", "trainer.accelerator=cpu"]))
    assert run_name(plain, "data") == "gffpn_cspdarknet-n_tal_tinyindus_sim_320_s0_67f764b22f"


def test_an_option_in_a_subfolder_names_no_folder() -> None:
    plain = resolved(compose_config(["neck=fpn"]))
    plain["choice"]["neck"] = "lab/mine"
    assert run_name(plain, "data").startswith("lab-mine_")


def test_a_wrong_name_or_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="fnp"):
        compose_config(["neck=fnp"])
    with pytest.raises(ValueError, match="fues"):
        compose_config(["neck=gffpn", "neck.fues=add"])


def test_paper_scale_follows_the_papers_protocol() -> None:
    config = compose_config(["scale=paper"])
    protocol = (config.size.name, config.head.network._target_, config.image_size, config.batch_size)
    assert protocol == ("l", "gffpn.heads.yolov5.YOLOv5Head", 640, 8)
    recipe = build_recipe(config)
    assert (config.trainer.max_epochs, recipe.optimizer, recipe.lr) == (100, "sgd", 0.001)
    assert compose_config(["scale=paper", "size=n"]).size.name == "n"


@pytest.mark.parametrize(("written", "meant"), [("320", (320, 320)), ("[320, 640]", (320, 640))])
def test_image_size_is_height_and_width(written: str, meant: tuple[int, int]) -> None:
    assert image_size(compose_config([f"image_size={written}"])) == meant


@pytest.mark.parametrize("written", ["0", "[1, 2, 3]", "big", "1.5"])
def test_a_wrong_image_size_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="image_size: got"):
        image_size(compose_config([f"image_size={written}"]))


def loaded(experiment: Path) -> DictConfig:
    """Return an experiment's file, with the experiment that it extends."""
    own = OmegaConf.load(experiment)
    bases = [name for name in own.get("defaults", []) if isinstance(name, str)]
    merged = OmegaConf.merge(*(loaded(experiment.with_stem(name)) for name in bases), own)
    assert isinstance(merged, DictConfig)
    return merged


def rows_of(experiment: Path) -> list[list[str]]:
    asked = loaded(experiment)
    params = (asked.hydra.get("sweeper") or {}).get("params", {})
    axes = [[f"{key}={value}" for value in swept_values(key, str(values))] for key, values in params.items()]
    arms = (asked.experiment.get("arms") or {"": []}).values()
    return [[*words, *row] for words in arms for row in itertools.product(*axes)]


def swept_values(key: str, values: str) -> list[str]:
    return [path.stem for path in (CONF / key).glob("*.yaml")] if values == "glob(*)" else values.split(",")


def differences(one: dict, other: dict, where: str = "") -> set[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = set(one) | set(other)
        return set().union(*(differences(one.get(k), other.get(k), f"{where}.{k}") for k in keys))
    return {where[1:]} if one != other else set()


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_varies_only_what_it_declares(experiment: Path) -> None:
    """Rows are unique and differ only in the varied groups (and, for ablations, in the neck's values)."""
    rows = rows_of(experiment)
    plains = [resolved(compose_config([f"experiments={experiment.stem}", *row])) for row in rows]
    assert len({run_name(plain, "data") for plain in plains}) == len(rows)
    swept = {setting.split("=")[0].split(".")[0] for row in rows for setting in row}
    allowed = swept | ({"neck"} if "ablation" in swept else set())
    for plain in plains[1:]:
        changed = {key.split(".")[0] for key in differences(plains[0], plain)} - {"choice"}
        assert changed <= allowed


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_states_its_claim_command_and_endpoint(experiment: Path) -> None:
    asked = loaded(experiment).experiment
    assert asked.claim
    assert asked.command == f"python train.py experiments={experiment.stem}"
    assert asked.primary_endpoint.startswith("test/")


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_contrasts_of_an_experiment_name_its_arms(experiment: Path) -> None:
    asked = question(OmegaConf.to_container(loaded(experiment).experiment))
    assert asked.contrasts or asked.arms
    check_contrasts(asked, rows_of(experiment))


def test_no_ablation_is_a_no_op() -> None:
    """Any two rows of Table 6 differ in the shape or the values of their output."""
    import torch

    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    outputs = []
    for path in sorted((CONF / "ablation").glob("*.yaml")):
        detector = build_detector(compose_config(["neck=gffpn", f"ablation={path.stem}"]), 9).eval()
        with torch.no_grad():
            outputs.append(torch.cat([raw.flatten() for raw in detector(images)]))
    for one, other in itertools.combinations(outputs, 2):
        assert one.shape != other.shape or not torch.equal(one, other)


def test_equal_seeds_give_equal_backbones_and_heads_for_any_neck() -> None:
    import torch

    one, other = (build_detector(compose_config([f"neck={neck}", "seed=3"]), 9) for neck in ("fpn", "gffpn"))
    for first, second in ((one.backbone, other.backbone), (one.head, other.head)):
        states = first.state_dict(), second.state_dict()
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    changed = build_detector(compose_config(["neck=fpn", "seed=4"]), 9)
    key = next(iter(one.backbone.state_dict()))
    assert not torch.equal(one.backbone.state_dict()[key], changed.backbone.state_dict()[key])


@pytest.mark.slow
@pytest.mark.parametrize("head", sorted(path.stem for path in (CONF / "head").glob("*.yaml")))
@pytest.mark.parametrize("neck", sorted(path.stem for path in (CONF / "neck").glob("*.yaml")))
def test_every_parameter_has_its_own_memory(neck: str, head: str) -> None:
    """Parameters that share storage would be updated and averaged twice."""
    detector = build_detector(compose_config([f"neck={neck}", f"head={head}"]), 9)
    places = [parameter.untyped_storage().data_ptr() for parameter in detector.parameters()]
    assert len(set(places)) == len(places)
