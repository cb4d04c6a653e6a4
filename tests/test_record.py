"""Is a run's record typed, read back as it was written, and independent of how classes are called?"""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from fake_runs import finished_run, record
from gffpn.report.table import cells, row_of, write_tables
from gffpn.runs.folder import RunFolder
from gffpn.runs.reading import finished_runs
from gffpn.runs.record import OtherVersionError, Record, read_record, size_word, write_record

AWKWARD = ("n_hole", "mean", "AP_8_16", "edge/left", "a, b", "mAP50", "P")
"""Class names that look like other figures, or that a separator could split."""
NEWER = "a newer gffpn wrote it: use that one"


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = replace(record(ablation="star"), image_size=(480, 640), operating_point=None)
    write_record(tmp_path / "metrics.json", made)
    assert read_record(tmp_path / "metrics.json") == made


def test_a_class_may_have_any_name(tmp_path: Path) -> None:
    """The AP of a class `n_hole` used to be cut to a whole number, as if it counted objects."""
    run = finished_run(tmp_path, "fpn", classes=AWKWARD, mAP50=0.5)
    (row,) = finished_runs(tmp_path)
    assert row.record.data.classes == AWKWARD
    assert [one.name for one in row.record.test.classes] == list(AWKWARD)
    columns = row.record.columns()
    for position, name in enumerate(AWKWARD):
        assert columns[f"test/AP50/{name}"] == pytest.approx(0.5 * (0.8 + 0.4 * position / len(AWKWARD)))
    assert (columns["test/mAP50"], columns["test/AP_8_16"], columns["test/n_8_16"]) == (0.5, 0.2, 12)
    shown = row_of({"overrides": ["neck=fpn"], "status": "finished", "run": run.name}, row.record)
    headers, _ = cells([shown])
    assert [header for header in headers if "8-16" in header] == ["8-16 (n=12)"]
    write_tables(tmp_path, [shown])
    assert '"test/AP50/a, b"' in (tmp_path / "results.csv").read_text()


def test_no_column_is_written_twice() -> None:
    made = record(classes=AWKWARD)
    assert made.operating_point is not None
    parts = [made.test.columns(), made.operating_point.columns(), made.model_columns()]
    names = [f"test/{name}" for name in parts[0]] + [name for part in parts[1:] for name in part]
    assert len(names) == len(set(names))
    assert set(names) <= set(made.columns())


def test_nan_is_refused(tmp_path: Path) -> None:
    made = record()
    spoilt = replace(made, training=replace(made.training, minutes=math.nan))
    with pytest.raises(ValueError, match="JSON compliant"):
        RunFolder(tmp_path).finish(spoilt)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "zero", "seed: got 'zero', expected int"),
        ("seed", None, "seed: got None, expected int"),
        ("image_size", [1, 2, 3], "image_size: got [1, 2, 3]"),
        ("choice", {"neck": "fpn"}, "choice.backbone: missing"),
    ],
)
def test_a_damaged_record_is_refused_in_one_line(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    path = tmp_path / "metrics.json"
    write_record(path, record())
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ValueError, match="damaged") as error:
        read_record(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert RunFolder(tmp_path).read() is None


@pytest.mark.parametrize("content", ['{"test/mAP50": 0.5}', '{"version": 99}', "[]"])
def test_a_record_of_another_version_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(content)
    with pytest.raises(OtherVersionError, match=r"expected 2; an? (older|newer) gffpn wrote it"):
        read_record(path)


@pytest.mark.parametrize("part", ["speed", "training", ""])
def test_a_record_with_a_field_that_is_not_known_yet_is_newer(tmp_path: Path, part: str) -> None:
    """So that it is named, and not replaced as a damaged one."""
    path = tmp_path / "metrics.json"
    write_record(path, record())
    content = json.loads(path.read_text())
    (content[part] if part else content)["added"] = 1
    path.write_text(json.dumps(content))
    error = RunFolder(tmp_path).other_version()
    assert error
    assert error.newer
    assert str(error) == f"{path}: {f'{part}.added' if part else 'added'}: unknown; " + NEWER


def test_a_record_from_before_speed_could_be_measured_later_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_record(path, record())
    content = json.loads(path.read_text())
    del content["speed"]["timed_run"]
    path.write_text(json.dumps({**content, "version": 1}))
    assert read_record(path) == replace(record(), version=1)


def test_a_record_that_is_older_than_the_devices_of_training_has_that_of_its_speed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    made = record()
    assert made.columns()["trained_devices"] == made.devices == ("a processor",)
    write_record(path, made)
    content = json.loads(path.read_text())
    del content["training"]["devices"]
    path.write_text(json.dumps(content))
    older = read_record(path)
    assert (older.training.devices, older.devices) == ((), ("a processor",))
    assert replace(older, speed=None).devices == ()


def test_a_record_without_speed_has_its_cost_alone(tmp_path: Path) -> None:
    waiting = replace(record(), speed=None)
    write_record(tmp_path / "metrics.json", waiting)
    assert read_record(tmp_path / "metrics.json") == waiting
    assert waiting.columns().keys() < record().columns().keys()
    shown = row_of({"overrides": ["neck=fpn"], "status": "finished", "run": "r"}, waiting)
    headers, ((*line,),) = cells([shown])
    figures = dict(zip(headers, line, strict=True))
    assert (figures["FPS net"], figures["FPS all"], figures["params M"]) == ("n/a", "n/a", "1.30")


def test_the_code_of_a_row_is_one_digest() -> None:
    made = record()
    other = replace(made, provenance=replace(made.provenance, code={"gffpn.layers.conv": "1a2b"}))
    assert len(made.columns()["code"]) == len(other.columns()["code"]) == 12
    assert made.columns()["code"] != other.columns()["code"]


def test_a_partial_test_is_known() -> None:
    made: Record = record()
    assert not made.partial
    assert replace(made, test=replace(made.test, images=3)).partial


def test_image_sizes_in_one_word() -> None:
    assert (size_word((320, 320)), size_word((480, 640))) == ("320", "480x640")
