"""What a report computes of a run's predictions: is it kept, and is what is kept what was computed?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_runs import predicted_run
from gffpn.report.page.images import SplitImages, region_around
from gffpn.runs.folder import RunFolder
from gffpn.runs.record import Record
from gffpn.stats import analysis as module
from gffpn.stats.analysis import Analysis, analysis, found_objects, kept_analysis
from gffpn.stats.runs import Run
from hand_predictions import Image, predictions


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Record]:
    folder = RunFolder(predicted_run(tmp_path_factory.mktemp("runs"), "fpn", skill=0.7))
    record = folder.read()
    assert record
    return folder, record


def assert_equal(one: Analysis, other: Analysis) -> None:
    # fields are compared as text, because a comparison of nested dataclasses of arrays is ambiguous
    with np.printoptions(threshold=10**6):
        assert repr(one) == repr(other)


def test_what_was_kept_is_what_was_computed(
    tested: tuple[RunFolder, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, record = tested
    first = kept_analysis(folder, record)
    assert first.curve
    assert first.images
    monkeypatch.setattr(module, "analysis", lambda *_: pytest.fail("computed again"))
    assert_equal(kept_analysis(folder, record), first)


@pytest.mark.parametrize("damage", [b"", b"no archive"])
def test_a_damaged_file_is_replaced(tested: tuple[RunFolder, Record], damage: bytes) -> None:
    folder, record = tested
    first = kept_analysis(folder, record)
    path = folder.path / "analysis.npz"
    path.write_bytes(damage)
    assert_equal(kept_analysis(folder, record), first)
    assert path.stat().st_size > 1000


def test_other_settings_are_not_taken_from_the_file(tested: tuple[RunFolder, Record]) -> None:
    folder, record = tested
    kept_analysis(folder, record)
    other = kept_analysis(folder, replace(record, size_edges=(20.0,)))
    assert other.errors
    assert other.errors.objects.shape[1] == 2
    kept_analysis(folder, record)


def test_missing_predictions_are_an_error_of_one_line(
    tmp_path: Path, tested: tuple[RunFolder, Record]
) -> None:
    with pytest.raises(ValueError, match=r"predictions\.npz: missing; the run has no analysis without it$"):
        kept_analysis(RunFolder(tmp_path), tested[1])


def test_a_run_without_operating_point_has_the_rest(tested: tuple[RunFolder, Record]) -> None:
    _, record = tested
    hit = predictions(Image([[0, 0, 20, 20, 0]], [[0, 0, 20, 20, 0, 0.9]]), classes=record.data.classes)
    found = analysis({"val": hit, "test": hit}, replace(record, operating_point=None))
    assert found.confusion is found.images is found.errors is found.found is None
    assert found.precision.mean() == pytest.approx(1)


def test_objects_that_are_found_at_a_threshold() -> None:
    made = predictions(
        Image(
            objects=[[0, 0, 10, 10, 0], [20, 0, 30, 10, 0], [40, 0, 50, 10, 1], [60, 0, 70, 10, 0]],
            detections=[
                [0, 0, 10, 10, 0, 0.9],  # found
                [20, 0, 30, 10, 0, 0.4],  # below the threshold
                [40, 0, 50, 10, 0, 0.9],  # of the wrong class
                [60, 0, 70, 4, 0, 0.9],  # IoU 0.4
            ],
        )
    )
    assert found_objects(made, 0.5).tolist() == [True, False, False, False]
    assert found_objects(made, 0.4).tolist() == [True, True, False, False]


def test_a_region_around_an_object() -> None:
    # 20 x 20 px: five times its side, and moved inside the image at its edge
    assert region_around(np.array([100.0, 100, 120, 120]), (400, 400)) == (60, 60, 100, 100)
    assert region_around(np.array([0.0, 390, 4, 394]), (400, 400)) == (0, 352, 48, 48)  # at least 48 px
    assert region_around(np.array([0.0, 0, 300, 2]), (200, 400)) == (50, 0, 200, 200)  # inside the image


def test_images_of_a_simulated_set_are_found_in_the_cache(
    tmp_path: Path, tested: tuple[RunFolder, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gffpn.data.tinyindus import TinyIndusSim

    index = TinyIndusSim(tmp_path / "cache", (64, 64), train_images=4, val_images=4, test_images=4).index()
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("paths: {cache: cache}\ndata: {preset: paper}\n")
    _, record = tested
    record = replace(record, data=replace(record.data, origin=index.origin))
    files = SplitImages(Run((), "finished", run, record))
    read = [files.read(image.name) for image in index.splits["test"]]
    assert [pixels.shape for pixels in read if pixels is not None] == [(64, 64, 3)] * 4
    assert files.read("images/none.png") is None
    assert files.missing.startswith("images/none.png: not found in ")
