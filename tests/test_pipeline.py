"""Tests of the data pipeline from an index of files to batches: geometry, augmentation, order, cache."""

import logging
import pickle
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from gffpn.callbacks.pictures import Pictures
from gffpn.data import cache as cache_file
from gffpn.data.cache import ImageCache
from gffpn.data.canvas import NONE_LOST, BoxRule, Sample, Source, Span, blank, lost, paste, span
from gffpn.data.datamodule import DetectionData
from gffpn.data.dataset import DetectionDataset, Targets, collate
from gffpn.data.index import DataError, DataIndex, ImageRecord
from gffpn.data.letterbox import Letterbox
from gffpn.data.readers.images import read_image
from gffpn.data.sampler import EpochSampler, random_positions
from gffpn.data.transforms import Augment, flipped, recoloured, transposed
from gffpn.files.content import content_digest
from gffpn.streams import derive_seed, numpy_stream, torch_stream

SIZE = (64, 64)
BUSY = {
    "scale": (0.5, 1.6),
    "translate": 0.2,
    "hflip": 0.5,
    "vflip": 0.5,
    "min_box_px": 0.0,
    "min_visible": 0.0,
}


def f32(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.fixture
def records(tmp_path: Path) -> tuple[ImageRecord, ...]:
    """Write twelve black images of 60 x 50 pixels (width x height) with one white rectangle each."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(12):
        x1, y1 = (int(v) for v in rng.integers(2, 25, 2))
        x2, y2 = x1 + int(rng.integers(8, 30)), y1 + int(rng.integers(8, 20))
        pixels = np.zeros((50, 60, 3), np.uint8)
        pixels[y1:y2, x1:x2] = 255
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        made.append(ImageRecord(path, path.name, 50, 60, f32((x1, y1, x2, y2)), np.array([number % 3])))
    return tuple(made)


@pytest.fixture
def index(records: tuple[ImageRecord, ...]) -> DataIndex:
    return DataIndex(("a", "b", "c"), {"train": records[:7], "val": records[7:10], "test": records[10:]})


def data_of(index: DataIndex, folder: Path, **changes: object) -> DetectionData:
    settings = {
        "image_size": SIZE,
        "batch_size": 3,
        "workers": 0,
        "seed": 5,
        "augment": Augment(mosaic=0.5, mosaic_off_epochs=1, brightness=0.3, saturation=0.3, **BUSY),
        "max_epochs": 4,
        "cache": "disk",
        "cache_dir": folder,
    }
    return DetectionData(index, **(settings | changes))


def epoch_of(loader: torch.utils.data.DataLoader, epoch: int) -> list[dict]:
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(one: list[dict], other: list[dict]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a["images"], b["images"])
        and np.array_equal(a["lost_boxes"], b["lost_boxes"])
        and all(
            torch.equal(s["boxes"], t["boxes"])
            and torch.equal(s["labels"], t["labels"])
            and (s["image_index"], s["scale"]) == (t["image_index"], t["scale"])
            for s, t in zip(a["targets"], b["targets"], strict=True)
        )
        for a, b in zip(one, other, strict=True)
    )


class TestStreams:
    def test_seed_is_the_same_everywhere_and_distinguishes_parts(self) -> None:
        assert derive_seed(0, "order", 3) == 8528472876404421465  # sha256sum
        assert derive_seed(np.int64(0), "order", 3) == derive_seed(0, "order", 3)
        names = [(0,), ("0",), (1,), (0, "a"), ("a", 0), ("a", "b"), ("ab",), (1, 2), (12,), (2, 1)]
        assert len({derive_seed(*name) for name in names}) == len(names)
        assert numpy_stream(1, "x").random() == numpy_stream(1, "x").random()

    def test_torch_stream_restores_the_generator(self) -> None:
        before = torch.get_rng_state()
        with torch_stream(0, "neck"):
            first = torch.rand(3)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(1)
        with torch_stream(0, "neck"):
            assert torch.equal(torch.rand(3), first)


class TestGeometry:
    def test_letterbox_by_hand(self) -> None:
        fit = Letterbox.fit((50, 100), (64, 64))
        assert fit == ((0.64, 0.64), 32, 64)
        boxes = f32((10, 20, 50, 40))
        np.testing.assert_allclose(fit.to_network(boxes), f32((6.4, 12.8, 32, 25.6)), rtol=1e-6)
        assert Letterbox.fit((20, 10), (64, 32)) == ((3.2, 3.2), 64, 32)  # smaller images are enlarged

    def test_letterbox_keeps_the_aspect_ratio_to_whole_pixels(self) -> None:
        # 2048 rows would become 535.42, so a row becomes 535 / 2048 and a column 640 / 2448 pixels
        fit = Letterbox.fit((2048, 2448), (640, 640))
        assert fit == ((640 / 2448, 535 / 2048), 535, 640)
        boxes = f32((0, 0, 2448, 2048), (1224, 1024, 1836, 1536))
        expected = f32((0, 0, 640, 535), (320, 267.5, 480, 401.25))
        np.testing.assert_array_equal(fit.to_network(boxes), expected)
        # a strip of 1000 x 1 would be 0.064 pixels high, and has one row
        assert Letterbox.fit((1, 1000), (64, 64)) == ((0.064, 1.0), 1, 64)

    def test_span_by_hand(self) -> None:
        assert span(100, 0.5, 10, (0, 64)) == Span(0, 100, 10, 60)
        assert span(100, 0.5, 10, (0, 40)) == Span(0, 60, 10, 40)
        assert span(100, 2.0, -50, (0, 64)) == Span(25, 57, 0, 64)
        assert span(100, 0.5, 10, (60, 64)) is None
        assert Span(25, 57, 0, 64).ratio == 2.0
        # the 100 columns would cover 10.4 to 80.4; rounded, they cover 10 to 80, all of them
        assert span(100, 0.7, 10.4, (0, 90)) == Span(0, 100, 10, 80)

    def test_an_image_wholly_in_view_is_not_cut(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(500):
            length, scale, offset = int(rng.integers(8, 200)), rng.uniform(0.3, 1.6), rng.uniform(0, 30)
            found = span(length, scale, offset, (0, 400))
            assert found == (0, length, round(offset), round(offset + length * scale))

    def test_paste_by_hand(self) -> None:
        pixels = np.zeros((3, 20, 20), np.uint8)
        pixels[:, 4:8, 2:10] = 255
        source = Source(pixels, f32((2, 4, 10, 8), (15, 15, 18, 18)), np.array([1, 2]))
        canvas = blank((32, 32))
        got = paste(canvas, source, Span(0, 10, 4, 24), Span(5, 15, 0, 20), BoxRule(2.0, 0.1), by="crop")
        # the left of the first box is cut off: x 2..10 is -6..10 on the canvas, y 4..8 is 12..20
        np.testing.assert_allclose(got.boxes, f32((0, 12, 10, 20)))
        assert got.labels.tolist() == [1]
        assert got.lost_boxes.tolist() == lost(f32((10, 20, 16, 26)), by="crop").tolist()  # 6 x 6 px
        assert canvas[0, 13:19, 0:9].eq(255).all()
        assert canvas[0, :4].eq(114).all()
        assert canvas[0, 24:].eq(114).all()
        assert canvas[0, :, 20:].eq(114).all()

    def test_box_rule_by_hand(self) -> None:
        moved = f32(
            (-9.5, 0, 0.5, 10),  # 0.5 px of a side remains
            (-8, 0, 2, 10),  # 2 px and a fifth remain
            (-5, 0, 5, 1),  # half of a thin box remains, its short side uncut
            (0, -0.5, 10, 0.5),  # half of a thin box remains, its short side cut
            (70, 0, 80, 10),  # nothing remains
        )
        clipped = moved.clip(0, 64)
        assert BoxRule(2.0, 0.1).keeps(moved, clipped).tolist() == [False, True, True, False, False]
        assert BoxRule(2.0, 0.25).keeps(moved, clipped).tolist()[1] is False

    def test_a_box_wholly_in_view_is_kept_however_small(self) -> None:
        moved = f32((0, 0, 5, 0.5), (3, 3, 3.2, 3.1), (60, 60, 64.00001, 64))
        assert BoxRule(2.0, 1.0).keeps(moved, moved.clip(0, 64)).all()

    def test_flips_by_hand(self) -> None:
        image = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 4).expand(3, 3, 4)
        sample = Sample(image, f32((0, 1, 1, 3)), np.array([0]), NONE_LOST)
        assert flipped(sample, 2).boxes.tolist() == [[3, 1, 4, 3]]
        assert flipped(sample, 2).image[0, 0].tolist() == [3, 2, 1, 0]
        assert flipped(sample, 1).boxes.tolist() == [[0, 0, 1, 2]]
        assert flipped(sample, 1).image[0, :, 0].tolist() == [8, 4, 0]
        assert transposed(sample).boxes.tolist() == [[1, 0, 3, 1]]
        assert transposed(sample).image[0].tolist() == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]

    def test_colour_by_hand(self) -> None:
        grey = torch.tensor([50, 150], dtype=torch.uint8).expand(3, 1, 2)
        assert recoloured(grey, 1.2, 1.0, 1.0)[0].tolist() == [[60, 180]]
        assert recoloured(grey, 1.0, 0.5, 1.0)[1].tolist() == [[75, 125]]  # half the distance to 100
        assert recoloured(grey, 1.0, 1.0, 0.3)[2].tolist() == [[50, 150]]  # grey has no colour to lose
        assert recoloured(grey, 2.0, 1.0, 1.0)[0].tolist() == [[100, 255]]
        red = torch.tensor([100, 0, 0], dtype=torch.uint8).reshape(3, 1, 1)
        assert recoloured(red, 1.0, 1.0, 0.0).flatten().tolist() == [30, 30, 30]  # 29.9


class TestAugmentation:
    @pytest.mark.parametrize(("mosaic", "size"), [(0.0, (96, 128)), (1.0, (96, 128)), (0.5, (96, 96))])
    def test_boxes_move_with_the_pixels(
        self, records: tuple[ImageRecord, ...], mosaic: float, size: tuple[int, int]
    ) -> None:
        images = ImageCache(records, Path("unused"), image_size=size, mode="ram")
        augment = Augment(mosaic=mosaic, transpose=0.5 if size[0] == size[1] else 0.0, **BUSY)
        dataset = DetectionDataset(records, images, image_size=size, augment=augment, max_epochs=99)
        seen = 0
        for epoch in range(20):
            image, target = dataset[epoch, epoch % len(records)]
            white = image[0] > 127
            inside, around = torch.zeros_like(white), torch.zeros_like(white)
            for x1, y1, x2, y2 in target["boxes"].tolist():
                assert 0 <= x1 < x2 <= size[1]
                assert 0 <= y1 < y2 <= size[0]
                inside[round(y1) + 2 : max(round(y2) - 2, 0), round(x1) + 2 : max(round(x2) - 2, 0)] = True
                top, left = max(round(y1) - 2, 0), max(round(x1) - 2, 0)
                around[top : round(y2) + 2, left : round(x2) + 2] = True
                seen += 1
            assert white[inside].all()
            assert not white[~around].any()
            assert len(target["boxes"]) == len(target["labels"])
            assert len(target["boxes"]) + target["lost_boxes"].sum() in {0: [1], 1: [4], 0.5: [1, 4]}[mosaic]
        assert seen >= 15

    def test_eight_views(self, records: tuple[ImageRecord, ...]) -> None:
        images = ImageCache(records, Path("unused"), image_size=SIZE, mode="ram")
        augment = Augment(hflip=0.5, vflip=0.5, transpose=0.5)
        dataset = DetectionDataset(records, images, image_size=SIZE, augment=augment)
        assert len({dataset[epoch, 0][0].numpy().tobytes() for epoch in range(60)}) == 8

    def test_only_square_samples_are_transposed(self) -> None:
        assert Augment(transpose=0.5, crop=64).sample_size((96, 128)) == (64, 64)
        with pytest.raises(ValueError, match=r"augment.transpose: got 0.5, expected 0 .* 96 x 128"):
            Augment(transpose=0.5).sample_size((96, 128))

    def test_default_augmentation_changes_nothing(self, records: tuple[ImageRecord, ...]) -> None:
        images = ImageCache(records, Path("unused"), image_size=SIZE, mode="ram")
        plain = DetectionDataset(records, images, image_size=SIZE)
        idle = DetectionDataset(records, images, image_size=SIZE, augment=Augment())
        for position in range(len(records)):
            assert same([collate([plain[0, position]])], [collate([idle[0, position]])])

    def test_no_mosaic_in_the_last_epochs(self, records: tuple[ImageRecord, ...]) -> None:
        images = ImageCache(records, Path("unused"), image_size=SIZE, mode="ram")
        augment = Augment(mosaic=1.0, mosaic_off_epochs=2)
        dataset = DetectionDataset(records, images, image_size=SIZE, augment=augment, max_epochs=5)
        in_view = [
            len(target["boxes"]) + target["lost_boxes"].sum()
            for _, target in (dataset[e, 0] for e in range(5))
        ]
        assert in_view == [4, 4, 4, 1, 1]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"mosaic": 1.5},
            {"hflip": -0.1},
            {"transpose": 2.0},
            {"scale": (0.0, 1.0)},
            {"scale": (1.2, 1.0)},
            {"scale": (1.0,)},
            {"mosaic_off_epochs": -1},
            {"min_box_px": -1.0},
        ],
    )
    def test_wrong_values_are_refused(self, wrong: dict) -> None:
        with pytest.raises(ValueError, match=r"augment.*got .*expected"):
            Augment(**wrong)


class TestOrder:
    def test_training_order_changes_with_the_epoch_and_is_reproducible(self) -> None:
        sampler = EpochSampler(range(20), seed=1, shuffle=True)
        first = list(sampler)
        assert list(sampler) == first
        sampler.set_epoch(1)
        second = list(sampler)
        assert {epoch for epoch, _ in second} == {1}
        assert sorted(p for _, p in first) == sorted(p for _, p in second) == list(range(20))
        assert [p for _, p in first] != [p for _, p in second]
        assert first != list(EpochSampler(range(20), seed=2, shuffle=True))

    @pytest.mark.parametrize(("count", "ranks"), [(10, 3), (9, 3), (2, 4)])
    def test_shards(self, count: int, ranks: int) -> None:
        every = range(count)
        train = [EpochSampler(every, seed=0, shuffle=True, rank=r, world_size=ranks) for r in range(ranks)]
        assert {len(list(s)) for s in train} == {len(train[0])} == {-(-count // ranks)}
        assert {p for s in train for _, p in s} == set(range(count))
        evaluation = [
            EpochSampler(every, seed=0, shuffle=False, rank=r, world_size=ranks) for r in range(ranks)
        ]
        assert sorted(p for s in evaluation for _, p in s) == list(range(count))
        assert [len(s) for s in evaluation] == [len(list(s)) for s in evaluation]

    def test_random_positions_come_from_the_whole_split(self) -> None:
        drawn = random_positions(180, 12, "any")  # NEU-DET's test split: 30 images per class, sorted by class
        assert drawn == sorted(set(drawn)) == random_positions(180, 12, "any")
        assert len(drawn) == 12
        assert len({position // 30 for position in drawn}) >= 4
        assert set(drawn) <= set(random_positions(180, 40, "any"))
        assert random_positions(5, None, "any") == random_positions(5, 9, "any") == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("limit", "images"),
        [(1, 3), (2, 6), (9, 10), (0.5, 6), (0.7, 6), (0.1, 3), (1.0, 10), (None, 10)],  # in batches of 3
    )
    def test_a_part_of_a_split_is_a_sample_of_it(
        self, limit: float | None, images: int, records: tuple[ImageRecord, ...], tmp_path: Path
    ) -> None:
        index = DataIndex(("a", "b", "c"), {"train": records[:1], "val": records[1:2], "test": records[2:]})
        parts = []
        for seed in (5, 6):
            data = data_of(index, tmp_path, limit_eval_batches=limit, seed=seed)
            data.setup("test")
            batches = list(data.test_dataloader())
            parts.append([target["image_index"] for batch in batches for target in batch["targets"]])
        assert parts[0] == parts[1] == sorted(set(parts[0]))
        assert len(parts[0]) == images
        assert (parts[0] == [*range(images)]) == (images == 10)

    def test_the_processes_share_a_sample(self, index: DataIndex, tmp_path: Path) -> None:
        shares = []
        for rank in range(2):
            data = data_of(index, tmp_path, batch_size=2, limit_eval_batches=1)
            data.trainer = SimpleNamespace(
                world_size=2,
                global_rank=rank,
                strategy=SimpleNamespace(root_device=torch.device("cpu")),
            )
            data.setup("validate")
            shares.append([position for _, position in data.val_dataloader().sampler])
        assert [len(share) for share in shares] == [1, 1]
        assert shares[0] < shares[1]

    def test_pictures_are_a_sample_of_what_is_evaluated(self, tmp_path: Path) -> None:
        callback = Pictures(tmp_path, count=3)
        trainer = SimpleNamespace(test_dataloaders=SimpleNamespace(sampler=range(9)))
        for _ in range(2):  # an interrupted evaluation leaves nothing behind
            callback.on_test_start(trainer, None)
            for batch in ([0, 1, 2, 3], [4, 5, 6, 7], [8]):
                outputs = {"detections": batch}
                callback.on_test_batch_end(trainer, None, outputs, {"images": batch, "targets": batch})
        drawn = [image for image, _, _ in callback._kept]
        assert drawn == random_positions(9, 3, "pictures", "test") != [0, 1, 2]


class TestBatches:
    def test_batches_do_not_depend_on_the_workers(self, index: DataIndex, tmp_path: Path) -> None:
        runs = []
        for workers in (0, 2):
            data = data_of(index, tmp_path, workers=workers)
            data.setup()
            loader = data.train_dataloader()
            before = torch.get_rng_state()
            runs.append([epoch_of(loader, epoch) for epoch in (0, 1, 1)])
            assert torch.equal(torch.get_rng_state(), before)
        here, elsewhere = runs
        assert all(same(a, b) for a, b in zip(here, elsewhere, strict=True))
        assert same(here[1], here[2])
        assert not same(here[0], here[1])

    def test_format_of_a_batch(self, index: DataIndex, tmp_path: Path) -> None:
        data = data_of(index, tmp_path, batch_size=2)
        data.setup()
        sizes = [len(batch["images"]) for batch in data.train_dataloader()]
        assert sizes == [2, 2, 2]
        assert [len(batch["images"]) for batch in data.val_dataloader()] == [2, 1]
        batch = next(iter(data.test_dataloader()))
        assert batch["images"].shape == (2, 3, *SIZE)
        assert batch["images"].dtype == torch.uint8
        assert not batch["lost_boxes"].any()
        target = batch["targets"][1]
        record = index.splits["test"][1]
        # 50 rows would become 53.33
        assert (target["image_index"], target["scale"]) == (1, (64 / 60, 53 / 50))
        assert target["labels"].tolist() == record.labels.tolist()
        assert (target["boxes"].dtype, target["labels"].dtype) == (torch.float32, torch.int64)
        native = target["boxes"] / torch.tensor(target["scale"] * 2)
        torch.testing.assert_close(native, torch.from_numpy(record.boxes))

    def test_lost_boxes_add_up(self, index: DataIndex, tmp_path: Path) -> None:
        data = data_of(index, tmp_path, augment=Augment(scale=(3.0, 3.0)))
        data.setup()
        batches = list(data.train_dataloader())
        for batch in batches:
            assert np.array_equal(
                batch["lost_boxes"], sum(target["lost_boxes"] for target in batch["targets"])
            )
            assert batch["lost_boxes"].sum() == sum(len(target["boxes"]) == 0 for target in batch["targets"])
        assert sum(batch["lost_boxes"].sum() for batch in batches) > 0

    def test_targets_are_pickled_as_arrays(self) -> None:
        gone = lost(f32((0, 0, 9, 9), (0, 0, 40, 40)), by="mosaic")
        facts = {"scale": (0.5, 0.25), "lost_boxes": gone, "sources": (4, 1)}
        sent = Targets(
            {
                "boxes": torch.rand(n, 4),
                "labels": torch.arange(n),
                "crowd": torch.arange(n) == 1,
                "image_index": n,
                **facts,
            }
            for n in (2, 0, 3)
        )
        got = pickle.loads(pickle.dumps(sent))
        assert type(got) is list
        assert [target["image_index"] for target in got] == [2, 0, 3]
        for before, after in zip(sent, got, strict=True):
            assert torch.equal(before["boxes"], after["boxes"])
            assert torch.equal(before["labels"], after["labels"])
            assert torch.equal(before["crowd"], after["crowd"])
            assert (after["scale"], after["sources"]) == ((0.5, 0.25), (4, 1))
            assert after["lost_boxes"].tolist() == gone.tolist()
        assert b"torch.storage" not in pickle.dumps(sent)

    def test_training_boxes_in_network_pixels(self, index: DataIndex, tmp_path: Path) -> None:
        native = np.concatenate([record.boxes for record in index.splits["train"]])
        sides = torch.from_numpy(native[:, 2:] - native[:, :2])
        torch.testing.assert_close(
            data_of(index, tmp_path).boxes_wh(), sides * torch.tensor([64 / 60, 53 / 50])
        )

    @pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")  # raised in Lightning
    def test_lightning_sets_the_epoch(self, index: DataIndex, tmp_path: Path) -> None:
        class Listener(L.LightningModule):
            automatic_optimization = False

            def training_step(self, batch: dict, batch_index: int) -> None:
                heard.append(batch)

            def validation_step(self, batch: dict, batch_index: int) -> None:
                judged.append(batch)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])

        heard: list[dict] = []
        judged: list[dict] = []
        data = data_of(index, tmp_path, workers=2)
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=2,
            barebones=True,
            use_distributed_sampler=False,
        )
        trainer.fit(Listener(), data)
        loader = data.train_dataloader()
        assert same(heard, epoch_of(loader, 0) + epoch_of(loader, 1))
        assert same(judged, 2 * list(data.val_dataloader()))

    @pytest.mark.parametrize(
        "wrong", [{"batch_size": 0}, {"workers": -1}, {"image_size": (0, 64)}, {"cache": "tape"}]
    )
    def test_wrong_values_are_refused(self, index: DataIndex, tmp_path: Path, wrong: dict) -> None:
        with pytest.raises(ValueError, match=r"got .*expected"):
            data_of(index, tmp_path, **wrong)

    @pytest.mark.parametrize(
        ("batch_size", "devices", "sizes"),
        [
            (4, 1, [4, 3]),
            (3, 1, [3, 3]),  # 7 images leave one over
            (6, 1, [6]),
            (5, 1, [5, 2]),
            (16, 1, [7]),
            (1, 1, [1] * 7),
            (6, 2, [3]),  # 4 images per device leave one over
            (4, 2, [2, 2]),
            (14, 7, [1]),  # one image per device: without it, nothing is left
        ],
    )
    def test_no_training_batch_has_a_single_image_left_over(
        self, index: DataIndex, tmp_path: Path, batch_size: int, devices: int, sizes: list[int]
    ) -> None:
        data = data_of(index, tmp_path, batch_size=batch_size)
        data.setup("fit")
        data.trainer = SimpleNamespace(
            world_size=devices, global_rank=0, strategy=SimpleNamespace(root_device=torch.device("cpu"))
        )
        loader = data.train_dataloader()
        assert [len(batch["targets"]) for batch in loader] == sizes
        assert len(loader) == len(sizes)

    def test_the_image_left_out_is_not_always_the_same(self, index: DataIndex, tmp_path: Path) -> None:
        data = data_of(index, tmp_path, batch_size=6, augment=Augment(**BUSY))
        data.setup("fit")
        loader = data.train_dataloader()
        seen = [
            {target["image_index"] for batch in epoch_of(loader, epoch) for target in batch["targets"]}
            for epoch in range(3)
        ]
        assert [len(one) for one in seen] == [6] * 3
        assert len(set.union(*seen)) == 7


class TestCache:
    def test_pixels_by_hand(self, tmp_path: Path) -> None:
        path = tmp_path / "white.png"
        Image.new("RGB", (100, 50), (255, 0, 255)).save(path)
        record = ImageRecord(path, path.name, 50, 100, f32(), np.zeros(0, np.int64))
        image = ImageCache([record], tmp_path / "c", image_size=SIZE)[0]
        assert image.shape == (3, 64, 64)
        assert [np.unique(image[channel, :32]).tolist() for channel in range(3)] == [[255], [0], [255]]
        assert np.unique(image[:, 32:]).tolist() == [114]

    def test_modes_return_the_same_pixels(self, records: tuple[ImageRecord, ...], tmp_path: Path) -> None:
        disk, ram, none = (
            ImageCache(records, tmp_path / "c", image_size=SIZE, mode=mode)
            for mode in ("disk", "ram", "none")
        )
        for position in range(len(records)):
            np.testing.assert_array_equal(disk[position], ram[position])
            np.testing.assert_array_equal(disk[position], none[position])
        with pytest.raises(ValueError, match="read-only"):
            disk[0][0, 0, 0] = 1
        copy = pickle.loads(pickle.dumps(disk))
        assert len(pickle.dumps(disk)) < 30_000
        np.testing.assert_array_equal(copy[3], disk[3])

    def test_a_second_opening_decodes_nothing(self, records: tuple[ImageRecord, ...], tmp_path: Path) -> None:
        read: list[Path] = []

        def counted(path: Path) -> np.ndarray:
            read.append(path)
            return read_image(path)

        first = ImageCache(records, tmp_path / "c", image_size=SIZE, read=counted)
        assert len(read) == len(records)
        second = ImageCache(records, tmp_path / "c", image_size=SIZE, read=counted)
        assert len(read) == len(records)
        np.testing.assert_array_equal(first[5], second[5])
        assert sorted(file.name for file in first.folder.iterdir()) == ["images.json", "images.npy", "lock"]

        Image.new("RGB", (60, 50), (9, 9, 9)).save(records[0].path)  # another image with the same name
        changed = [replace(record, content=content_digest(record.path)) for record in records]
        third = ImageCache(changed, tmp_path / "c", image_size=SIZE, read=counted)
        assert len(read) == 2 * len(records)
        assert third[0][0, 0, 0] == 9

    def test_an_image_that_changes_after_its_inspection_is_refused(
        self, records: tuple[ImageRecord, ...], tmp_path: Path
    ) -> None:
        inspected = [replace(record, content=content_digest(record.path)) for record in records]
        Image.new("RGB", (60, 50), (9, 9, 9)).save(records[0].path)
        for mode in ("disk", "ram"):
            with pytest.raises(DataError, match=r"0\.png: the file changed since this run started"):
                ImageCache(inspected, tmp_path / "c", image_size=SIZE, mode=mode)
        records[0].path.unlink()
        for mode in ("disk", "ram"):
            with pytest.raises(DataError, match=r"0\.png: No such file.*could be read when this run started"):
                ImageCache(inspected, tmp_path / "c", image_size=SIZE, mode=mode)

    @pytest.mark.parametrize("harm", ["truncated", "unannounced"])
    def test_an_incomplete_file_is_rebuilt(
        self, records: tuple[ImageRecord, ...], tmp_path: Path, harm: str
    ) -> None:
        whole = ImageCache(records, tmp_path / "c", image_size=SIZE)
        pixels = np.array(whole[11])
        if harm == "truncated":
            with whole.file.open("r+b") as stream:
                stream.truncate(whole.file.stat().st_size - 1)
        else:
            whole.file.with_suffix(".json").unlink()
            whole.file.write_bytes(bytes(whole.file.stat().st_size))
        again = ImageCache(records, tmp_path / "c", image_size=SIZE)
        assert again.mode == "disk"
        np.testing.assert_array_equal(again[11], pixels)

    def test_an_interrupted_build_leaves_nothing(
        self, records: tuple[ImageRecord, ...], tmp_path: Path
    ) -> None:
        def broken(path: Path) -> np.ndarray:
            if path == records[8].path:
                raise DataError("broken file")
            return read_image(path)

        with pytest.raises(DataError, match="broken file"):
            ImageCache(records, tmp_path / "c", image_size=SIZE, read=broken)
        assert [file.name for file in tmp_path.glob("c-*/*")] == ["lock"]

    def test_an_image_of_another_size_is_refused(
        self, records: tuple[ImageRecord, ...], tmp_path: Path
    ) -> None:
        wider = ImageRecord(records[0].path, "x", 50, 61, records[0].boxes, records[0].labels)
        with pytest.raises(DataError, match=r"0\.png: .*expected \(50, 61, 3\)"):
            ImageCache([wider], tmp_path / "c", image_size=SIZE)

    @pytest.mark.parametrize("fault", ["full before", "full while writing"])
    def test_a_full_disk_is_reported_and_survived(
        self,
        records: tuple[ImageRecord, ...],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        fault: str,
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        if fault == "full before":
            usage = namedtuple("usage", "free")
            monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10))
        else:
            monkeypatch.setattr(cache_file.os, "fsync", full)
        with caplog.at_level(logging.WARNING):
            images = ImageCache(records, tmp_path / "c", image_size=SIZE)
        assert images.mode == "none"
        assert "images are decoded at each read" in caplog.text
        assert [file.name for file in images.folder.iterdir()] == ["lock"]
        expected = ImageCache(records, tmp_path / "c", image_size=SIZE, mode="ram")
        np.testing.assert_array_equal(images[4], expected[4])

    @pytest.mark.parametrize("folder", ["file/c", "unreadable/c"])
    def test_a_folder_that_cannot_be_used_is_reported_and_survived(
        self,
        records: tuple[ImageRecord, ...],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        folder: str,
    ) -> None:
        (tmp_path / "file").touch()
        read, make = Path.read_text, Path.mkdir

        def denied(whole: Callable[..., Any]) -> Callable[..., Any]:
            def attempt(path: Path, *words: Any, **options: Any) -> Any:
                if "unreadable" in path.parts:
                    raise PermissionError(13, "Permission denied", str(path))
                return whole(path, *words, **options)

            return attempt

        monkeypatch.setattr(Path, "read_text", denied(read))  # root may read and write everywhere
        monkeypatch.setattr(Path, "mkdir", denied(make))
        with caplog.at_level(logging.WARNING):
            images = ImageCache(records, tmp_path / folder, image_size=SIZE)
        assert images.mode == "none"
        assert "images are decoded at each read" in caplog.text
        expected = ImageCache(records, tmp_path / "c", image_size=SIZE, mode="ram")
        np.testing.assert_array_equal(images[4], expected[4])

    def test_an_unknown_mode_is_refused(self, records: tuple[ImageRecord, ...], tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"cache: got 'tape', expected one of \['disk', 'ram', 'none'\]"):
            ImageCache(records, tmp_path / "c", image_size=SIZE, mode="tape")
