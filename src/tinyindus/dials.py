"""What can be turned in the simulator, and the named starting points."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

SIZE_MODES = ("contrast", "energy")
CLASS_SHARES = ("paper", "equal")
LABEL_DIALS = ("missed_labels", "jittered_labels", "flipped_labels")
"""They spoil the training labels and no pixel."""

_FACTORS = ("contrast", "blur", "noise", "lookalike_density", "light_variation")
_SHARES = ("empty_share", *LABEL_DIALS)
_PAIRS = ("side_range", "defects_per_image")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(name: str, value: object) -> None:
    if not _is_number(value):
        raise ValueError(f"got {name} {value!r}, expected a number")


@dataclass(frozen=True)
class Dials:
    """One setting of the simulator. Each dial moves its own cause and leaves every other random draw alone.

    Raises ValueError for a value out of range.
    """

    side_scale: float = 1.0
    """Factor on the defect sides of `classes.CLASSES`, which are pixels at an image size of 640."""
    side_range: tuple[float, float] | None = None
    """Pixels at 640: log-uniform in this range, for every class, in place of the table's medians."""
    size_mode: str = "contrast"
    """contrast: a defect's contrast does not depend on its side; energy: its visibility d' does not."""
    contrast: float = 1.0
    """Factor on the strength of every defect; 0 draws none, through the same code."""
    blur: float = 1.0
    """Factor on the width of the lens blur."""
    noise: float = 1.0
    """Factor on the standard deviation of shot and read noise."""
    lookalike_density: float = 1.0
    """Factor on how often the harmless look-alikes of the defects occur."""
    match: float | tuple[float, float] = 0.0
    """0: look-alikes have a form of their own; 1: each of their marks is drawn as a defect is, and only its
    surroundings tell that it is harmless. A pair: uniform in between, drawn once a picture."""
    light_variation: float = 1.0
    """Factor on how far direction, gradient and exposure stray from the nominal light."""
    empty_share: float = 0.3
    """Share of the images without a defect."""
    defects_per_image: tuple[int, int] = (1, 4)
    """Fewest and most defects in the images that have any."""
    class_shares: str = "paper"
    """paper: classes occur in the shares of the paper's Table 2; equal: each as often as any other."""
    missed_labels: float = 0.0
    """Share of the training objects whose annotation is left out."""
    jittered_labels: float = 0.0
    """Share of the training objects whose box is off (`labels.JITTER`)."""
    flipped_labels: float = 0.0
    """Share of the training objects that carry another class, of the same product if it has another."""

    def __post_init__(self) -> None:
        _number("side_scale", self.side_scale)
        if self.side_scale <= 0:
            raise ValueError(f"got side_scale {self.side_scale}, expected a number above 0")
        if self.side_range is not None and not 0 < self.side_range[0] <= self.side_range[1]:
            raise ValueError(f"got side_range {self.side_range}, expected 0 < lowest <= highest")
        for name, choices in (("size_mode", SIZE_MODES), ("class_shares", CLASS_SHARES)):
            if getattr(self, name) not in choices:
                raise ValueError(f"got {name} {getattr(self, name)!r}, expected one of {list(choices)}")
        for names, most in ((_FACTORS, 4), (_SHARES, 1)):
            for name in names:
                _number(name, getattr(self, name))
                if not 0 <= getattr(self, name) <= most:
                    raise ValueError(f"got {name} {getattr(self, name)}, expected 0 to {most}")
        low, high = self.match_range
        if not 0 <= low <= high <= 1:
            raise ValueError(f"got match {self.match}, expected 0 to 1, or two such numbers, lowest first")
        if not all(isinstance(n, int) for n in self.defects_per_image):
            raise ValueError(f"got defects_per_image {self.defects_per_image}, expected whole numbers")
        if not 1 <= self.defects_per_image[0] <= self.defects_per_image[1] <= 12:
            raise ValueError(
                f"got defects_per_image {self.defects_per_image}, expected 1 <= fewest <= most <= 12"
            )

    @property
    def match_range(self) -> tuple[float, float]:
        """Lowest and highest match of a picture."""
        if isinstance(self.match, tuple):
            return self.match
        _number("match", self.match)
        return self.match, self.match


PRESETS = {
    "default": Dials(),
    # large, strong and many defects, each class as often as any other: what a small detector learns from
    # 400 pictures of 224 pixels in minutes
    "demo": Dials(
        side_range=(40.0, 90.0),
        contrast=3.5,
        noise=0.7,
        lookalike_density=0.1,
        light_variation=0.4,
        empty_share=0.1,
        defects_per_image=(4, 8),
        class_shares="equal",
    ),
    # small and faint defects among many look-alikes that only their surroundings give away
    "hard": Dials(side_scale=0.75, contrast=0.75, lookalike_density=1.6, match=0.9),
}

DIAL_NAMES = tuple(field.name for field in fields(Dials))


def preset(name: str) -> Dials:
    """The dials of a named starting point."""
    if name not in PRESETS:
        raise ValueError(f"got preset {name!r}, expected one of {sorted(PRESETS)}")
    return PRESETS[name]


def turn(dials: Dials, values: Mapping[str, Any]) -> Dials:
    """The dials with some of them turned; what is None stays. Lists, as YAML gives them, become pairs."""
    unknown = sorted(set(values) - set(DIAL_NAMES))
    if unknown:
        raise ValueError(f"got the dials {unknown}, expected some of {list(DIAL_NAMES)}")
    turned = {name: value for name, value in values.items() if value is not None}
    for name, value in turned.items():
        if name in _PAIRS or (name == "match" and isinstance(value, list | tuple)):
            turned[name] = _pair(name, value)
    return replace(dials, **turned)


def turn_test(dials: Dials, entry: Mapping[str, Any]) -> Dials:
    """The dials of one entry of a test split."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"got the test_dials entry {entry!r}, expected dials and values: {{blur: 2.0}}")
    spoilt = [name for name in LABEL_DIALS if entry.get(name) is not None]
    if spoilt:
        raise ValueError(f"got {spoilt} in test_dials, expected dials of the pixels: only train labels err")
    return turn(dials, entry)


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    numbers = isinstance(value, list | tuple) and all(map(_is_number, value))
    if not numbers or len(value) != 2:
        raise ValueError(f"got {name} {value}, expected two numbers, lowest and highest")
    return value[0], value[1]
