"""The dials (settings) of the simulator, and its named presets."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

SIZE_MODES = ("contrast", "energy")
CLASS_SHARES = ("paper", "equal")
LABEL_DIALS = ("missed_labels", "jittered_labels", "flipped_labels")
"""Dials that corrupt training labels and change no pixel."""

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
    """A setting of the simulator.

    Each dial changes one cause and leaves all other random draws unchanged.

    Raises ValueError for a value out of range.
    """

    side_scale: float = 1.0
    """Factor on the defect sides of `classes.CLASSES`, which are in pixels at an image size of 640."""
    side_range: tuple[float, float] | None = None
    """Range of sides in pixels at 640, log-uniform for every class, instead of the table's medians."""
    size_mode: str = "contrast"
    """contrast: a defect's contrast is independent of its side; energy: its visibility d' is."""
    contrast: float = 1.0
    """Factor on the strength of every defect; 0 runs the same code but leaves no defect."""
    blur: float = 1.0
    """Factor on the width of the lens blur."""
    noise: float = 1.0
    """Factor on the standard deviation of shot and read noise."""
    lookalike_density: float = 1.0
    """Factor on the frequency of the harmless look-alikes of the defects."""
    match: float | tuple[float, float] = 0.0
    """0: look-alikes have their own form; 1: each of their marks is drawn like a defect, and only its
    surroundings show that it is harmless. A pair of numbers: uniform between them, drawn once per picture."""
    light_variation: float = 1.0
    """Factor on the deviation of direction, gradient and exposure from the nominal light."""
    empty_share: float = 0.3
    """Share of the images that have no defect."""
    defects_per_image: tuple[int, int] = (1, 4)
    """Minimum and maximum number of defects in the images that have any."""
    class_shares: str = "paper"
    """paper: classes have the shares of the paper's Table 2; equal: all classes are equally frequent."""
    missed_labels: float = 0.0
    """Share of the training objects whose annotation is omitted."""
    jittered_labels: float = 0.0
    """Share of the training objects whose box is displaced (`labels.JITTER`)."""
    flipped_labels: float = 0.0
    """Share of the training objects labelled as another class, of the same product if it has another."""

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
        for name in ("side_scale", *_FACTORS, *_SHARES):  # 1 and 1.0 are one setting, and one set
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("side_range", "match"):
            value = getattr(self, name)
            if value is not None:
                same = tuple(map(float, value)) if isinstance(value, tuple) else float(value)
                object.__setattr__(self, name, same)

    @property
    def match_range(self) -> tuple[float, float]:
        """Lowest and highest match that a picture can have."""
        if isinstance(self.match, tuple):
            return self.match
        _number("match", self.match)
        return self.match, self.match


PRESETS = {
    # the paper's products, classes and shares, with defects that are small at 640 pixels: for a GPU
    "paper": Dials(),
    # many large and strong defects, with equally frequent classes: easy enough for a small detector to learn
    # in minutes from 400 pictures of 224 pixels
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
    # for comparisons on a laptop, at an image size of 320: like `paper`, but with more defects, of
    # 8 to 32 pixels at this size for every class
    "laptop": Dials(side_range=(16.0, 64.0), empty_share=0.2, defects_per_image=(2, 6)),
    # small, faint defects among many look-alikes that only their surroundings distinguish from defects
    "hard": Dials(side_scale=0.75, contrast=0.75, lookalike_density=1.6, match=0.9),
}

DIAL_NAMES = tuple(field.name for field in fields(Dials))


def preset(name: str) -> Dials:
    """Return the dials of a preset."""
    if name not in PRESETS:
        raise ValueError(f"got preset {name!r}, expected one of {sorted(PRESETS)}")
    return PRESETS[name]


def turn(dials: Dials, values: Mapping[str, Any]) -> Dials:
    """Return the dials with new values; None leaves a dial unchanged. Lists (from YAML) become pairs."""
    unknown = sorted(set(values) - set(DIAL_NAMES))
    if unknown:
        raise ValueError(f"got the dials {unknown}, expected some of {list(DIAL_NAMES)}")
    turned = {name: value for name, value in values.items() if value is not None}
    for name, value in turned.items():
        if name in _PAIRS or (name == "match" and isinstance(value, list | tuple)):
            turned[name] = _pair(name, value)
    return replace(dials, **turned)


def turn_test(dials: Dials, entry: Mapping[str, Any]) -> Dials:
    """Return the dials for one entry of `test_dials`, which may not set label noise."""
    if not isinstance(entry, Mapping):
        raise ValueError(
            f"got the test_dials entry {entry!r}, expected a mapping of dials to values: {{blur: 2.0}}"
        )
    spoilt = [name for name in LABEL_DIALS if entry.get(name) is not None]
    if spoilt:
        raise ValueError(
            f"got {spoilt} in test_dials, expected dials of the pixels: label noise is for train only"
        )
    return turn(dials, entry)


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    numbers = isinstance(value, list | tuple) and all(map(_is_number, value))
    if not numbers or len(value) != 2:
        raise ValueError(f"got {name} {value}, expected two numbers, lowest and highest")
    return value[0], value[1]
