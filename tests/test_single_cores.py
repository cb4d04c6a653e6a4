"""Is a batch computed on single cores, with the same detections, and does its benchmark measure that?"""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import predict as benchmark
from blobs import Blobs
from gffpn.deploy import detector as loading
from gffpn.deploy.single_cores import SingleCores


@pytest.fixture
def three_threads() -> Iterator[None]:
    """Let torch use three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_parts_are_computed_in_order_each_on_one_core() -> None:
    """13 images on three threads are parts of 4, 3, 3, 3; two images stay together and use all threads."""
    cores = SingleCores()
    images = np.arange(13, dtype=np.uint8)[:, None]
    parts = cores.split(images)
    assert [len(part) for part in parts] == [4, 3, 3, 3]
    caller = threading.get_ident()
    for _ in range(2):  # the first call starts the threads
        found = cores.map(lambda part: (part[0, 0], torch.get_num_threads(), threading.get_ident()), parts)
        assert [(first, threads) for first, threads, _ in found] == [(0, 1), (4, 1), (7, 1), (10, 1)]
        assert caller not in {thread for *_, thread in found}
        assert torch.get_num_threads() == 3
    later: list[int] = []
    other = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert later == [3]
    few = cores.split(images[:2])
    assert [len(part) for part in few] == [2]
    assert cores.map(lambda _: (torch.get_num_threads(), threading.get_ident()), few) == [(3, caller)]


@pytest.mark.usefixtures("three_threads")
def test_the_number_of_threads_stays_the_callers() -> None:
    cores = SingleCores()
    parts = cores.split(np.zeros((3, 1), np.uint8))
    torch.set_num_threads(2)  # after the detector was loaded
    cores.map(len, parts)
    assert torch.get_num_threads() == 2
    # a forked process has the pool, but not its threads
    cores._process -= 1
    before = cores._pool
    assert cores.map(len, parts) == [1, 1, 1]
    assert cores._pool is not before
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("three_threads")
def test_an_error_in_a_part_is_raised_and_changes_no_setting() -> None:
    cores = SingleCores()
    with pytest.raises(ZeroDivisionError):
        cores.map(lambda part: 1 // len(part[0]), cores.split(np.zeros((3, 0), np.uint8)))
    assert torch.get_num_threads() == 3


def test_the_benchmark_compares_predict_with_its_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "open_network", lambda *_, **__: Blobs((64, 64)))
    monkeypatch.setattr(benchmark, "start_seconds", lambda *_: 1.25)
    folder = benchmark.draw_images(tmp_path / "photos", 5, (48, 64))
    benchmark.main(["RUN", "--images", str(folder), "--rounds", "1", "--batch", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines[4:8]] == ["network alone", *benchmark.WRITES]
    assert "100%" in lines[4]
    assert lines[-1].endswith("1.2 s")
    (folder / "torn.jpg").write_bytes(b"torn")
    with pytest.raises(RuntimeError, match="5 of 6 images were read"):
        benchmark.main(["RUN", "--images", str(folder), "--rounds", "0"])
