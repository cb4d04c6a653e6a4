"""Does the benchmark measure what it claims, take turns fairly, and report what it could not measure?"""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gffpn.__main__ import main as verbs
from gffpn.benchmark import neck_table
from gffpn.benchmark.entry import FORMS, TRAINED, Entry, TrainingTurns
from gffpn.benchmark.peak_memory import LiveMemory, activation_peak
from gffpn.benchmark.plan import Options, Setting, Subject, network_changes, parted
from gffpn.benchmark.record import Record
from gffpn.benchmark.report import markdown, write
from gffpn.benchmark.training_step import TrainingStep, random_images, random_targets
from gffpn.build.detector import build_detector
from gffpn.config.compose import compose_config
from gffpn.config.overrides import CONF
from gffpn.cost import cost
from gffpn.figures import Cost
from gffpn.machine.devices import device
from gffpn.machine.timing import rotated, take_rounds
from gffpn.necks.panet import PANet
from gffpn.report.paper import paper_costs

TOY = ["neck=fpn,panet", "image_size=64", "trainer.precision=32-true", "trainer.accelerator=cpu"]
QUICK = ["--rounds", "2", "--seconds", "0"]
OPTIONS = Options(out=Path("."), classes=9, rounds=1, seconds=0.0, batch=None, training=False)
SETTING = Setting(
    size="n",
    backbone="cspdarknet",
    head="tal",
    image_size=(64, 64),
    image_size_word="64",
    classes=9,
    device=torch.device("cpu"),
    device_name="A (fast) CPU",
    threads=2,
    precision="32-true",
    channels_last=False,
    batch=2,
)
Row = dict[str, str]
Benchmark = Callable[..., tuple[list[Row], str, str | int | None]]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" |")]


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    """Return a function that runs `python -m gffpn benchmark` at toy scale: rows, page and exit code."""

    def run(*words: str) -> tuple[list[Row], str, str | int | None]:
        code: str | int | None = 0
        try:
            verbs(["benchmark", *TOY, *words, *QUICK, "--out", str(tmp_path)])
        except SystemExit as leaving:
            code = leaving.code
        (table,), (page,), (picture,) = (list(tmp_path.glob(f"*.{kind}")) for kind in ("csv", "md", "png"))
        assert {table.stem, page.stem} == {picture.stem}
        with Image.open(picture) as image:
            assert image.size == (1080, 720)
        with table.open(newline="") as file:
            return list(csv.DictReader(file)), page.read_text(), code

    return run


@pytest.mark.slow
def test_files_hold_the_measurements(benchmark: Benchmark, tmp_path: Path) -> None:
    rows, _, code = benchmark("--batch", "3")
    assert code == 0
    assert [(row["neck"], row["form"]) for row in rows] == [(n, f) for n in ("fpn", "panet") for f in FORMS]
    (path,) = tmp_path.glob("*.md")
    assert path.name.endswith(f"_{torch.get_num_threads()}t_cspdarknet-n_tal_64_32-true_fpn-panet.md")
    for row in rows:
        config = compose_config([f"neck={row['neck']}"])
        detector = FORMS[row["form"]](build_detector(config, 9))
        counted = cost(detector, (64, 64))
        assert int(row["params"]) == counted.params
        assert int(row["params_neck"]) == counted.params_neck
        assert float(row["gflops_head"]) == counted.gflops_head
        assert (row["status"], row["reads"], row["gives"]) == ("measured", "8 16 32", "8:64 16:128 32:256")
        timed = ("forward", "end_to_end", "batch", *(["training"] if row["form"] == TRAINED else []))
        for what in timed:
            median, p95 = float(row[f"{what}_ms"]), float(row[f"{what}_p95_ms"])
            assert 0 < median <= p95
            images = 3 if what in ("batch", "training") else 1
            assert float(row[f"{what}_images_s"]) == pytest.approx(1e3 * images / median)
            assert row[f"{what}_rounds"] == "2"
        assert float(row["forward_ms"]) < float(row["end_to_end_ms"])
        assert float(row["activation_mib"]) > 0
        assert bool(row["training_mib"]) is bool(row["training_ms"]) is (row["form"] == TRAINED)
        assert row["paper_params_m"] == {"fpn": "40.7", "panet": "46.2"}[row["neck"]]
    assert int(rows[1]["params"]) < int(rows[0]["params"])


@pytest.mark.slow
def test_the_page_is_readable(benchmark: Benchmark) -> None:
    rows, page, _ = benchmark("--no-training")
    tables = [part.splitlines() for part in page.split("\n\n") if part.startswith("|")]
    assert [len(table) for table in tables] == [2 + 4, 2 + 4, 2 + 2]
    for table in tables:
        assert len({len(cells(line)) for line in table}) == 1
        assert len({len(line) for line in table}) == 1
    named = dict(zip(cells(tables[0][0]), cells(tables[0][2]), strict=True))
    assert named["params M"] == f"{int(rows[0]['params']) / 1e6:.2f}"
    assert (named["form"], named["training MiB"], named["reads"]) == (TRAINED, "n/a", "8 16 32")
    assert "untrained" in page
    assert "count as 0: add, max_pool2d_with_indices, native_batch_norm, silu." in page
    assert "**Not for this detector**" in page
    assert "PARTIAL" not in page


@pytest.mark.slow
def test_a_neck_that_refuses_the_size_reports_the_multiple(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PANet, "size_multiple", 48, raising=False)
    rows, page, code = benchmark("--no-training")
    assert code == 0
    assert [row["status"] for row in rows] == [*["measured"] * 2, "refused: multiples of 48 px only"]
    assert "neck=panet needs multiples of 48: the nearest are 48 or 96 x 48 or 96" in rows[2]["fault"]
    assert (rows[2]["params"], rows[2]["forward_ms"]) == ("", "")
    assert "| refused: multiples of 48 px only |" in page


@pytest.mark.slow
def test_a_neck_that_fails_does_not_stop_the_others(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = PANet.forward, []

    def broken(self: PANet, features: list[Tensor]) -> list[Tensor]:
        calls.append(torch.is_inference_mode_enabled())
        if not calls[-1] and self.training:
            raise RuntimeError("out of luck\nat length")
        return real(self, features)

    monkeypatch.setattr(PANet, "forward", broken)
    rows, page, code = benchmark()
    assert code == 1
    assert [row["status"] for row in rows] == [*["measured"] * 2, *["failed"] * 2]
    assert rows[3]["fault"] == "RuntimeError: out of luck"
    assert rows[0]["training_ms"]
    assert (bool(rows[2]["forward_ms"]), rows[2]["training_ms"]) == (True, "")
    assert "* `panet`: failed: RuntimeError: out of luck\n" in page
    assert "as trained (failed)" in page


@pytest.mark.slow
def test_ctrl_c_keeps_the_measurements(benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingTurns, "take", interrupt)
    rows, page, code = benchmark()
    assert code == 130
    assert {row["partial"] for row in rows} == {"True"}
    assert [bool(row["forward_ms"]) for row in rows] == [True] * 4
    assert {row["training_ms"] for row in rows} == {""}
    assert "**PARTIAL" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--rounds 0", "--rounds: got 0, expected 1 or more"),
        ("--batch 0", "--batch: got 0, expected 1 or more"),
        ("--classes 0", "--classes: got 0, expected 1 or more"),
        ("--seconds -1", "--seconds: got -1.0, expected 0 or more"),
        ("--seconds nan", "--seconds: got nan, expected 0 or more"),
        ("neck=fpn,fnp", "neck: got 'fnp', expected one of"),
        ("neck=", "neck: got '', expected one of"),
        ("neck=fpn image_size=abc", "image_size: got 'abc', expected a number of pixels"),
        ("neck=fpn neck.fusion=add", "neck.fusion: no such key"),
        ("neck=fpn size=n,s", "size=n,s: several values, expected one"),
        (
            "neck=fpn trainer.precision=64-true",
            "trainer.precision: got '64-true', expected one of ['auto', '32-true',",
        ),
        (
            "neck=fpn trainer.accelerator=abacus",
            "trainer.accelerator: got 'abacus', this machine has ['auto',",
        ),
    ],
)
def test_a_wrong_argument_is_reported_in_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as leaving:
        verbs(["benchmark", "--out", str(tmp_path / "out"), *words.split()])
    assert leaving.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ERROR: {message}")
    assert not (tmp_path / "out").exists()


def test_selection_of_necks(capsys: pytest.CaptureFixture) -> None:
    every = sorted(path.stem for path in (CONF / "neck").glob("*.yaml"))
    assert parted(["size=l", "seed=1"]) == (every, ["size=l", "seed=1"])
    assert parted(["neck=panet,fpn,panet", "size=l"]) == (["panet", "fpn"], ["size=l"])
    # in the order of the paper; a neck that is not written yet is reported
    assert parted([], only=["panet", "unwritten", "fpn"])[0] == ["panet", "fpn"]
    assert capsys.readouterr().out.startswith("unwritten: ")
    with pytest.raises(ValueError, match="neck: got 'fpn', expected some of"):
        parted(["neck=fpn"], only=["panet"])


def test_the_device_is_that_of_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    found: list[torch.device | None] = [None]
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: found[0])
    assert (device("cpu"), device("auto")) == (cpu, cpu)
    with pytest.raises(ValueError, match=r"got 'gpu', this machine has \['auto', 'cpu'\]"):
        device("gpu")
    found[0] = cuda
    assert (device("cpu"), device("auto"), device("gpu")) == (cpu, cuda, cuda)


def test_activation_memory_by_hand() -> None:
    convs = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.Conv2d(8, 2, 1)
    )
    # 4 x 10 x 10 floats and 8 x 5 x 5 are alive together; 2 x 5 x 5 are made after the first are freed
    assert activation_peak(convs, torch.zeros(1, 3, 10, 10)) == 4 * (400 + 200)
    assert activation_peak(convs[:2], torch.zeros(2, 3, 10, 10)) == 2 * 4 * (400 + 200)
    assert activation_peak(convs[1:], torch.zeros(1, 4, 10, 10)) == 4 * (200 + 50)


def test_live_memory_by_hand() -> None:
    given = torch.zeros(8)
    with LiveMemory() as memory:
        made = given + 1  # 8 floats
        view = made.view(2, 4)[0]
        given.add_(made)
        made.relu_()
        assert (memory.alive, memory.peak) == (32, 32)
        del made
        assert memory.alive == 32  # the view keeps it alive
        other = view.double()  # 4 doubles
        del view
        assert (memory.alive, memory.peak) == (32, 64)
    del other
    assert memory.alive == 0


class Wide(nn.Module):
    """Detector with a weight of 500 x 500 and a bias, for an image of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(500, 500, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.mix(images)]


def toy_subject() -> Subject:
    return Subject(
        setting=replace(SETTING, image_size=(1, 1)),
        detector=Wide(),
        loss=lambda raw, targets, size: {"sum": raw[0].sum()},
        decode=lambda raw, size: [],
    )


def test_a_training_step_by_hand() -> None:
    step = TrainingStep(toy_subject(), torch.ones(1, 500, 1, 1), [])
    before = {name: value.clone() for name, value in step.detector.state_dict().items()}
    weight = 4 * 500 * 500
    # weight, momentum, gradient, and gradient with weight decay, plus some vectors and scalars
    assert 4 * weight < step.peak_bytes() < 4 * weight + 50 * 4 * 500
    for name, value in step.detector.state_dict().items():
        assert torch.equal(value, before[name])
    momentum = [state["momentum_buffer"] for state in step.optimizer.state.values()]
    assert len(momentum) == 2
    assert all(buffer.abs().sum() > 0 for buffer in momentum)
    assert step.detector.training


def test_random_images_and_targets_are_the_same_every_time() -> None:
    setting = replace(SETTING, image_size=(64, 128))
    for one, other in zip(random_targets(3, setting), random_targets(3, setting), strict=True):
        assert torch.equal(one["boxes"], other["boxes"])
        left, top, right, bottom = one["boxes"].T
        assert one["boxes"].dtype == torch.float32
        assert (left >= 0).all()
        assert (right <= 128).all()
        assert (bottom <= 64).all()
        assert (right - left >= 128 / 80).all()
        assert (bottom - top <= 64 / 4).all()
        assert one["labels"].max() < 9
    assert torch.equal(random_images(2, setting), random_images(2, setting))


def test_the_order_rotates() -> None:
    assert [rotated("abc", number) for number in range(4)] == [
        list("abc"),
        list("bca"),
        list("cab"),
        list("abc"),
    ]
    assert rotated([], 3) == []


class Counted:
    def __init__(self, name: str, log: list[str], *, fails_at: int | None = None) -> None:
        self.name, self.log, self.fails_at = name, log, fails_at

    def take(self, number: int) -> bool:
        self.log.append(f"{self.name}{number}")
        return number != self.fails_at


def test_each_round_times_every_subject_until_it_fails(capsys: pytest.CaptureFixture) -> None:
    log: list[str] = []
    take_rounds(
        [Counted("a", log), Counted("b", log, fails_at=1), Counted("c", log)],
        rounds=2,
        seconds=0.0,
        title="T",
    )
    # a0, b0 and c0 warm up; round 1 starts with b, which fails, and round 2 with the first subject left
    assert log == ["a0", "b0", "c0", "b1", "c1", "a1", "a2", "c2"]
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        "T: warm-up",
        "T: round 1",
        "T: round 2",
    ]


def test_rounds_continue_until_the_seconds_are_spent() -> None:
    log: list[str] = []
    take_rounds([Counted("a", log)], rounds=1, seconds=0.02, title="T")
    assert len(log) > 3
    take_rounds([], rounds=5, seconds=10.0, title="T")  # nothing left to time


def priced(neck: str) -> Entry:
    entry = Entry(neck)
    values = {"params": 40_735_230, "params_m": 40.735230, "gflops": 98.54}
    parts = {f"{what}_{part}": 1 for what in ("params", "gflops") for part in ("backbone", "neck", "head")}
    for form in FORMS:
        uncounted = (f"aten.{neck}_op",)
        entry.costs[form] = Cost(
            image_size=(640, 640), uncounted=uncounted, rule="2 x MAC", **values, **parts
        )
        entry.times[form, "forward"] = [10.0, 20.0, 12.0]
    return entry


def test_the_papers_figures_appear_next_to_ours_and_are_labelled() -> None:
    papers = replace(SETTING, size="l", head="yolov5", image_size=(640, 640), image_size_word="640")
    record = Record([priced("fpn"), priced("nobodys")], OPTIONS, setting=papers)
    assert record.is_the_papers
    page = markdown(record)
    table = page.partition("## Beside the paper's Table 5\n\n")[2].partition("\n\n")[0].splitlines()
    head, first, second = cells(table[0]), cells(table[2]), cells(table[3])
    assert dict(zip(head, first, strict=True)) == {
        "neck": "fpn",
        "params M": "40.74",
        "PAPER params M": "40.7",
        "GFLOPs": "98.54",
        "PAPER GFLOPs": "158.4",
        "PAPER / counted GFLOPs": "1.61",
        "FPS (forward, here)": "83.3",
        "PAPER FPS on an RTX 3060": "65.8",
    }
    assert second == ["nobodys", "40.74", "n/a", "98.54", "n/a", "n/a", "83.3", "n/a"]
    assert "unexplained" in page
    assert "with `fpn` also: fpn_op; with `nobodys` also: nobodys_op." in page
    assert not Record([], OPTIONS, setting=SETTING).is_the_papers
    assert "PAPER / counted" not in markdown(Record([priced("fpn")], OPTIONS, setting=SETTING))


def test_a_record_without_times_is_still_written(tmp_path: Path) -> None:
    failed = Entry("fpn")
    failed.fail("no luck")
    page = write(Record([failed], replace(OPTIONS, out=tmp_path), setting=SETTING, partial=True))
    assert page.name == "benchmark_A-fast-CPU_2t_cspdarknet-n_tal_64_32-true_fpn_partial.md"
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".md", ".png"]


def test_overrides_that_change_the_networks_are_named() -> None:
    """Without them, the figures of another FPN would replace those of FPN under its name."""
    given = ["size=l", "neck.widen=2", "+head.x=1", "image_size=64", "ablation=add", "trainer.threads=1"]
    assert network_changes(given) == ["neck.widen=2", "+head.x=1", "ablation=add"]
    plain, wide = (
        Record([priced("fpn")], OPTIONS, setting=SETTING, changes=changes)
        for changes in ([], ["neck.widen=2"])
    )
    assert wide.name == f"{plain.name}_neck.widen=2"
    assert markdown(wide).splitlines()[0].endswith(", neck.widen=2")
    assert [row["overrides"] for row in wide.rows()] == ["neck.widen=2"] * 2
    papers = replace(SETTING, size="l", head="yolov5", image_size=(640, 640), image_size_word="640")
    assert not replace(wide, setting=papers).is_the_papers
    assert replace(plain, setting=replace(SETTING, classes=3)).name == f"{plain.name}_3-classes"
    many = Record([priced("fpn")], OPTIONS, setting=SETTING, changes=[f"neck.k{n}=1" for n in range(99)])
    assert len(many.name) < 120


def test_a_benchmark_names_its_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neck_table, "_measure", lambda *_: None)
    words = ["neck=fpn", "neck.widen=2", *TOY[1:]]
    _, page = neck_table.benchmark(words, replace(OPTIONS, out=tmp_path))
    assert page.name.endswith("_32-true_fpn_neck.widen=2.md")


def test_the_papers_rows() -> None:
    costs = paper_costs()
    assert costs["bifpn"] == {"fps": None, "params_m": 46.8, "gflops": 188.3}
    assert next(iter(costs)) == "fpn"
