"""Are parameters, FLOPs and times correct, and does measuring leave the detector unchanged?"""

import time

import pytest
import torch
from torch import Tensor, nn

from gffpn.cost import COUNTING_RULE, cost, count_flops, count_parameters, speed
from gffpn.machine.devices import device_name
from gffpn.machine.timing import latency, side_by_side
from gffpn.pyramid import Level

CPU = torch.device("cpu")


class Pair(nn.Module):
    """Backbone that returns two maps; the neck and the head keep the number of maps."""

    out_levels = (Level(4, 2), Level(6, 4))

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> list[Tensor]:
        first = nn.functional.silu(self.norm(self.stem(images)))
        return [first, self.down(first)]


class PerLevel(nn.Module):
    in_strides = (2, 4)

    def __init__(self, widths: list[int], out: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, out, 1) for width in widths)
        self.drop = nn.Dropout()

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [self.drop(conv(feature)) for conv, feature in zip(self.convs, features, strict=True)]


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = Pair(), PerLevel([4, 6], 5), PerLevel([5, 5], 2)

    def forward(self, images: Tensor) -> list[Tensor]:
        levels: list[Tensor] = self.head(self.neck(self.backbone(images)))
        return levels


class Coarse(PerLevel):
    in_strides = (4,)


def test_a_neck_is_counted_on_the_maps_that_it_reads() -> None:
    detector = Toy()
    detector.neck, detector.head = Coarse([6], 5), PerLevel([5], 2)
    # 4 x 6 cells of stride 4
    assert cost(detector, (16, 24)).gflops_neck == 2 * 4 * 6 * 6 * 5 / 1e9


class Peeking(nn.Module):
    """Module whose forward pass reads a value, which tensors on the meta device do not have."""

    def __init__(self) -> None:
        super().__init__()
        self.once = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.once(x)
        return self.once(y) if x.sum() > 0 else y


def test_flops_of_a_convolution_by_hand() -> None:
    conv = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4)
    # 10 x 10 to 5 x 5; each of 16 outputs sums 3 x 3 cells of 8 / 4 channels
    assert count_flops(conv, torch.zeros(1, 8, 10, 10)).total == 2 * 5 * 5 * 16 * 9 * 2
    assert count_parameters(conv) == 16 * 9 * 2 + 16


def test_flops_of_matrix_products_by_hand() -> None:
    class Product(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return (a @ b).softmax(-1)

    flops = count_flops(Product(), torch.zeros(3, 4, 5), torch.zeros(3, 5, 6))
    assert flops.total == 2 * 3 * 4 * 5 * 6
    assert flops.by_op == {"aten.bmm": flops.total}
    assert flops.uncounted == ("aten._softmax",)
    assert count_flops(nn.Linear(5, 7), torch.zeros(2, 5)).total == 2 * 2 * 5 * 7


def test_moving_values_is_not_arithmetic() -> None:
    class Moves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            up = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            parts = nn.functional.pad(up, (1, 1)).flatten(2).transpose(1, 2).contiguous().chunk(2, 1)
            return torch.cat(parts, dim=1).to(torch.promote_types(x.dtype, torch.float64))

    assert count_flops(Moves(), torch.ones(1, 2, 4, 4)).uncounted == ()
    # the in-place form counts as the same operator
    assert count_flops(nn.SiLU(inplace=True), torch.ones(2)).uncounted == ("aten.silu",)


def test_a_shared_parameter_counts_once() -> None:
    layer = nn.Linear(3, 3)
    assert count_parameters(nn.Sequential(layer, layer)) == 12


def test_a_module_that_reads_values_is_counted_on_the_cpu() -> None:
    assert count_flops(Peeking(), torch.ones(1, 2)).total == 2 * (2 * 2 * 2)
    assert count_flops(Peeking(), -torch.ones(1, 2)).total == 2 * 2 * 2


def test_an_error_of_the_module_is_raised() -> None:
    with pytest.raises(RuntimeError, match="channels"):
        count_flops(nn.Conv2d(3, 4, 1), torch.zeros(1, 2, 5, 5))


def test_cost_by_hand_and_as_the_sum_of_its_parts() -> None:
    detector = Toy()
    result = cost(detector, (16, 24))
    # the stem's map is 8 x 12, the second one is 4 x 6
    backbone = 2 * (8 * 12 * 4 * 27 + 4 * 6 * 6 * 36)
    neck, head = 2 * (8 * 12 * 4 * 5 + 4 * 6 * 6 * 5), 2 * (8 * 12 + 4 * 6) * 5 * 2
    parts = (result.gflops_backbone, result.gflops_neck, result.gflops_head)
    assert parts == pytest.approx((backbone / 1e9, neck / 1e9, head / 1e9), rel=1e-12)
    assert result.gflops == pytest.approx(sum(parts), rel=1e-12)
    whole = count_flops(detector, torch.zeros(1, 3, 16, 24))
    assert whole.total == backbone + neck + head
    assert result.params_backbone == 108 + 8 + 6 * 4 * 9 + 6
    assert result.params_neck == 4 * 5 + 5 + 6 * 5 + 5
    assert result.params_head == 2 * (5 * 2 + 2)
    assert result.params == result.params_backbone + result.params_neck + result.params_head
    assert result.params_m == result.params / 1e6
    assert result.uncounted == whole.uncounted
    assert "aten.silu" in result.uncounted
    assert (result.rule, result.image_size) == (COUNTING_RULE, (16, 24))


def test_counting_and_timing_leave_detector_and_random_state_unchanged() -> None:
    detector = Toy().train()
    detector.head.eval()
    modes = [module.training for module in detector.modules()]
    values = {name: value.clone() for name, value in detector.state_dict().items()}
    random = torch.get_rng_state()
    cost(detector, (16, 16))
    count_flops(detector, torch.rand(1, 3, 16, 16, generator=torch.Generator()))
    images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    speed(detector, lambda raw: raw, images, device=CPU, channels_last=True, rounds=1, budget_s=0.0)
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in detector.modules()] == modes
    for name, value in detector.state_dict().items():
        assert torch.equal(value, values[name])
        assert value.is_contiguous()


def test_latency_runs_at_least_the_rounds_and_spends_the_budget() -> None:
    calls: list[float] = []

    def nap(_: object) -> None:
        calls.append(time.perf_counter())
        time.sleep(0.002)

    (short,) = latency(nap, device=CPU, warmup=2, rounds=4, budget_s=0.0)
    assert (short.n, len(calls)) == (4, 6)
    assert 2.0 <= short.median_ms <= short.p95_ms
    assert latency(nap, device=CPU, rounds=1, budget_s=0.05)[0].n > 1


def test_a_stage_receives_the_value_of_the_previous_one_and_ends_after_it() -> None:
    seen: list[object] = []
    one, other = latency(
        lambda value: (seen.append(value), 7)[1], seen.append, device=CPU, warmup=0, rounds=1, budget_s=0.0
    )
    assert seen == [None, 7]
    assert one.median_ms <= other.median_ms


def test_calls_side_by_side_take_turns() -> None:
    log: list[str] = []
    one, other = side_by_side(
        lambda: (log.append("a"), time.sleep(0.01)),
        lambda: log.append("b"),
        device=CPU,
        warmup=1,
        rounds=2,
        budget_s=0.0,
    )
    assert log == ["a", "b", "b", "a", "a", "b"]
    assert (one.n, other.n) == (2, 2)
    assert one.median_ms >= 10 > other.median_ms


def test_speed_distinguishes_forward_from_end_to_end() -> None:
    def slow_decode(raw: list[Tensor]) -> int:
        time.sleep(0.02)
        return len(raw)

    images = torch.zeros(1, 3, 16, 24, dtype=torch.uint8)
    taken = speed(Toy(), slow_decode, images, device=CPU, rounds=5, budget_s=0.0)
    assert taken.latency_end_to_end_ms >= 20 > taken.latency_forward_ms
    assert taken.fps_forward == pytest.approx(1e3 / taken.latency_forward_ms)
    assert taken.fps_end_to_end == pytest.approx(1e3 / taken.latency_end_to_end_ms)
    assert (taken.rounds, taken.images, taken.tf32) == (5, 1, False)
    assert (taken.dtype, taken.threads) == ("float32", torch.get_num_threads())
    assert taken.device == device_name(CPU)
    assert taken.device


def test_speed_is_measured_on_every_image_in_turn() -> None:
    """An image with many candidates shows in the 95th percentile, which one image of noise could not."""
    seen: list[float] = []

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, images: Tensor) -> list[Tensor]:
            return [images.mean() * self.weight]

    def decode(raw: list[Tensor]) -> None:
        seen.append(round(255 * float(raw[0])))
        time.sleep(0.02 if seen[-1] == 9 else 0.0)

    images = torch.tensor([7, 8, 9], dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 3, 4, 4)
    taken = speed(Mean(), decode, images, device=CPU, rounds=9, budget_s=0.0)
    assert seen == [7, 8, 9] * 4  # three rounds of warm-up
    assert (taken.rounds, taken.images) == (9, 3)
    assert taken.latency_end_to_end_ms < 15 < taken.latency_end_to_end_p95_ms


def test_an_unknown_device_is_reported() -> None:
    with pytest.raises(ValueError, match="device: got 'meta', expected one of"):
        latency(lambda _: None, device=torch.device("meta"))
