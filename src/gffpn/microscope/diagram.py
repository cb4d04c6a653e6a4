"""Diagram of a neck, or of a part of it, from a trace of its forward pass."""

from collections.abc import Sequence

from torch import nn

from gffpn.microscope.section import Section
from gffpn.microscope.trace import INPUT, Frame, Trace, trace
from gffpn.microscope.words import TIMES
from gffpn.pyramid import Levels, Neck, levels_at
from gffpn.report.caption import shortened
from gffpn.report.diagram.graph import Graph

INSIDE_A_PART = 2
"""Depth at which a part is drawn unless another one is asked for."""


def diagram(
    neck: Neck,
    in_levels: Levels,
    image_size: tuple[int, int],
    *,
    title: str,
    part: str | None = None,
    depth: int | None = None,
) -> Graph:
    """Return the graph of a neck that reads some of `in_levels`, for one image of `image_size` (H, W).

    part: dotted path of a module of the neck, or the end of one, to draw only what is in it. depth: how many
    times to open the boxes; None for 0, or 2 in a part.
    Raises ValueError for a part that did not run.
    """
    assert isinstance(neck, nn.Module)
    read = levels_at(in_levels, neck.in_strides, reader=type(neck).__name__)
    traced = trace(neck, read, image_size)
    given = [level.stride for level in neck.out_levels]
    strides = level_of_each(traced, [level.stride for level in read], given, image_size)
    root = frame_of(traced, part) if part else traced.root
    section = Section(traced, root, strides, given)
    if depth is None:
        depth = INSIDE_A_PART if part else 0
    whole = title if root is traced.root else f"{title}: {root.path}, {type(root.module).__name__}"
    return section.graph(whole, depth)


def frame_of(traced: Trace, part: str) -> Frame:
    """Return the first call of a module whose path is `part` or, if there is none, ends with it."""
    frames = dict.fromkeys(frame for operator in traced.operators for frame in operator.frames)
    for found in (frame for frame in frames if frame.path == part.removeprefix("neck.")):
        return found
    for found in (frame for frame in frames if f".{frame.path}".endswith(f".{part}")):
        return found
    paths = sorted((frame.path for frame in frames if frame.path), key=lambda path: path.count("."))
    raise ValueError(f"part: got {part!r}, expected a module that the neck calls: {shortened(paths)}")


def level_of_each(
    traced: Trace, read: Sequence[int], given: Sequence[int], image_size: tuple[int, int]
) -> list[int]:
    """Return the stride of each operator's result, for the strides that the network reads and gives.

    A result that is no map of a level between the finest and the coarsest of them gets the stride of what the
    operator read.
    """
    finest, coarsest = min(*read, *given), max(*read, *given)
    between = [2**k for k in range(coarsest.bit_length()) if finest < 2**k < coarsest]
    sizes = {
        tuple(-(-side // stride) for side in image_size): stride
        for stride in sorted({*read, *given, *between}, reverse=True)
    }
    inputs = iter(read)
    found: list[int] = []
    for operator in traced.operators:
        if operator.name == INPUT:
            found.append(next(inputs))
            continue
        shape, inherited = operator.shapes[0], found[operator.reads[0]]
        found.append(sizes.get(shape[2:], inherited) if len(shape) == 4 else inherited)
    return found


def title_of(neck: Neck, name: str, size: str, image_size: tuple[int, int]) -> str:
    """Return the title of a neck's diagram."""
    return f"{name} ({type(neck).__name__}), size {size}, {image_size[0]} {TIMES} {image_size[1]} pixels"
