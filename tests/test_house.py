"""House rules that can be checked automatically: permitted imports and module names."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "gffpn"
FILES = sorted(SOURCE.rglob("*.py"))
SIMULATOR = sorted((SOURCE.parent / "tinyindus").rglob("*.py"))

# rank of each package or module of src/gffpn (a room); imports go to a lower rank or stay inside the room
RANKS = {
    "pyramid": 0,
    "boxes": 0,
    "streams": 0,
    "choice": 0,
    "weights": 0,
    "figures": 0,
    "machine": 0,
    "files": 0,
    "layers": 1,
    "losses": 1,
    "assign": 1,
    "optim": 1,
    "metrics": 1,
    "backbones": 2,
    "necks": 2,
    "heads": 2,
    "detector": 3,
    "fold": 3,
    "cost": 3,
    "data": 3,
    "runs": 3,
    "task": 4,
    "callbacks": 4,
    "stats": 4,
    "report": 5,
    "config": 5,
    "guide": 6,
    "build": 6,
    "suite": 7,
    "deploy": 8,
    "microscope": 9,  # it opens finished runs, which deploy reads
    "benchmark": 9,  # it times ONNX files and finished runs, which deploy reads
    "verbs": 10,
    "__main__": 11,
}

ONLY_IN = {
    "onnx": {"deploy"},
    "onnxscript": {"deploy"},
    "onnxruntime": {"deploy"},
    "hydra": {"config", "build", "suite"},
    "omegaconf": {"config", "build", "suite"},
    "lightning": {"machine", "task", "callbacks", "data.datamodule", "build", "suite"},
}

WITHOUT_TORCH = [
    "files",
    "figures",
    "metrics.average_precision",
    "metrics.evaluated",
    "metrics.operating_point",
    "runs",
    "stats",
    "report",
    "data.index",
    "data.letterbox",
    "data.readers",
    "data.card",
    "data.tinyindus",
    "config.compose",
    "config.overrides",
    "guide",
    "build.index",
    "verbs",
]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports must be absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_to_lower_ranks(path: Path) -> None:
    module = module_of(path)
    room = module.split(".")[0]
    if module == "__init__":
        return
    assert room in RANKS, f"{room} has no rank: give it one here"
    for name in imports_of(path):
        top, _, rest = name.partition(".")
        if top == "gffpn" and rest:
            other = rest.split(".")[0]
            assert other == room or RANKS[other] < RANKS[room], f"{module} imports {name}"
        if top in ONLY_IN:
            allowed = ONLY_IN[top]
            assert module in allowed or room in allowed, f"{module} imports {top}"


def test_the_simulator_is_independent_of_the_suite() -> None:
    for path in SIMULATOR:
        assert not [name for name in imports_of(path) if name.partition(".")[0] in ("gffpn", "torch")]


@pytest.mark.parametrize("room", [*(f"gffpn.{room}" for room in WITHOUT_TORCH), "tinyindus"])
def test_rooms_without_torch_do_not_import_it(room: str) -> None:
    base = SOURCE.parent / room.replace(".", "/")
    paths = sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]
    modules = [
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
        if path.name != "__main__.py"
    ]
    assert modules
    code = f"import sys\nimport {', '.join(modules)}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", sorted((SOURCE / "necks").rglob("*.py")), ids=module_of)
def test_no_neck_imports_another(path: Path) -> None:
    own = ".".join(["gffpn", *module_of(path).split(".")[:2]])
    others = [name for name in imports_of(path) if name.startswith("gffpn.necks")]
    assert not [name for name in others if path.parent.name == "necks" or not name.startswith(f"{own}.")]


def test_module_names_are_specific() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not [path for path in [*FILES, *SIMULATOR] if path.stem in vague]


def test_init_files_import_nothing_of_ours() -> None:
    """When they are imported; a function in them may import when it is called."""
    for path in FILES:
        if path.name == "__init__.py":
            statements = ast.parse(path.read_text()).body
            names = [one.module for one in statements if isinstance(one, ast.ImportFrom)]
            names += [name.name for one in statements if isinstance(one, ast.Import) for name in one.names]
            assert not [name for name in names if name and name.partition(".")[0] == "gffpn"], path


def test_text_files_have_an_encoding_that_does_not_depend_on_the_locale() -> None:
    places = {"read_text": 0, "write_text": 1}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                place = places.get(node.func.attr, len(node.args))
                given = len(node.args) != place or any(word.arg == "encoding" for word in node.keywords)
                assert node.func.attr not in places or given, f"{path}, line {node.lineno}"
