"""What can be turned in the simulator, and the named starting points."""

from dataclasses import dataclass, fields

SIZE_MODES = ("contrast", "energy")


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
    light_variation: float = 1.0
    """Factor on how far direction, gradient and exposure stray from the nominal light."""
    empty_share: float = 0.3
    """Share of the images without a defect."""
    defects_per_image: tuple[int, int] = (1, 4)
    """Fewest and most defects in the images that have any."""

    def __post_init__(self) -> None:
        if self.side_scale <= 0:
            raise ValueError(f"got side_scale {self.side_scale}, expected a number above 0")
        if self.side_range is not None and not 0 < self.side_range[0] <= self.side_range[1]:
            raise ValueError(f"got side_range {self.side_range}, expected 0 < lowest <= highest")
        if self.size_mode not in SIZE_MODES:
            raise ValueError(f"got size_mode {self.size_mode!r}, expected one of {list(SIZE_MODES)}")
        for name in ("contrast", "blur", "noise", "lookalike_density", "light_variation"):
            if not 0 <= getattr(self, name) <= 4:
                raise ValueError(f"got {name} {getattr(self, name)}, expected 0 to 4")
        if not 0 <= self.empty_share <= 1:
            raise ValueError(f"got empty_share {self.empty_share}, expected 0 to 1")
        if not 1 <= self.defects_per_image[0] <= self.defects_per_image[1] <= 12:
            raise ValueError(
                f"got defects_per_image {self.defects_per_image}, expected 1 <= fewest <= most <= 12"
            )


PRESETS = {
    "default": Dials(),
    # large, strong and many defects: what a small detector learns from 400 pictures of 224 pixels in minutes
    "demo": Dials(
        side_scale=3.4,
        contrast=3.5,
        noise=0.7,
        lookalike_density=0.1,
        light_variation=0.4,
        empty_share=0.1,
        defects_per_image=(4, 8),
    ),
}

DIAL_NAMES = tuple(field.name for field in fields(Dials))


def preset(name: str) -> Dials:
    """The dials of a named starting point."""
    if name not in PRESETS:
        raise ValueError(f"got preset {name!r}, expected one of {sorted(PRESETS)}")
    return PRESETS[name]
