"""The house rules that a machine can hold: who may import whom, and what may be called what."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "gffpn"
FILES = sorted(SOURCE.rglob("*.py"))

# a room or file of src/gffpn and its rank; imports go to a smaller rank or stay inside the room
RANKS = {
    "pyramid": 0,
    "boxes": 0,
    "streams": 0,
    "shared_files": 0,
    "processes": 0,
    "host_memory": 0,
    "layers": 1,
    "losses": 1,
    "assign": 1,
    "optim": 1,
    "backbones": 2,
    "necks": 2,
    "heads": 2,
    "detector": 3,
    "inference": 3,
    "metrics": 3,
    "cost": 3,
    "data": 3,
    "onnx_file": 4,
    "task": 4,
    "callbacks": 4,
    "build": 5,
    "suite": 6,
    "benchmark": 7,
    "export": 7,
    "verbs": 8,
    "__main__": 9,
}
# the suite's plain parts (folders, names, provenance) know nothing of torch and serve build.py
LEAVES = {"suite.folder", "suite.tracking", "suite.overrides"}

ONLY_IN = {
    "onnx": {"onnx_file"},
    "onnxscript": {"onnx_file"},
    "onnxruntime": {"onnx_file"},
    "hydra": {"build", "suite"},
    "omegaconf": {"build", "suite"},
    "lightning": {"processes", "task", "callbacks", "data.datamodule", "build", "suite.tracking"},
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_down(path: Path) -> None:
    module = module_of(path)
    room = module.split(".")[0]
    if module == "__init__":
        return
    assert room in RANKS, f"{room} has no rank: give it one here"
    for name in imports_of(path):
        top, _, rest = name.partition(".")
        if top == "gffpn" and rest:
            other = rest.split(".")[0]
            leaf = any(rest.startswith(leaf) for leaf in LEAVES)
            assert other == room or leaf or RANKS[other] < RANKS[room], f"{module} imports {name}"
        if top in ONLY_IN:
            allowed = ONLY_IN[top]
            assert module in allowed or room in allowed, f"{module} imports {top}"


@pytest.mark.parametrize("path", sorted((SOURCE / "necks").glob("*.py")), ids=module_of)
def test_no_neck_imports_another(path: Path) -> None:
    others = [name for name in imports_of(path) if name.startswith("gffpn.necks")]
    assert not others


def test_names_say_something() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not [path for path in FILES if path.stem in vague]


def test_packages_import_nothing() -> None:
    assert not [path for path in FILES if path.name == "__init__.py" and list(imports_of(path))]
