"""Short names of modules and operators in a diagram."""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.conv import _ConvNd

from gffpn.microscope.trace import Operator, Shape

TIMES = "\N{MULTIPLICATION SIGN}"
SPLIT = frozenset({"split", "split_with_sizes", "unbind", "chunk"})
"""Operators with several results of equal rank; the second results of others are indices or statistics."""
OPERATORS = {
    "add": "+",
    "sub": "\N{MINUS SIGN}",
    "mul": TIMES,
    "div": "\N{DIVISION SIGN}",
    "sigmoid": "\N{GREEK SMALL LETTER SIGMA}",
    "cat": "cat",
    **dict.fromkeys(SPLIT, "split"),
    "stack": "stack",
    "convolution": "conv",
    "bmm": "matmul",
    "mm": "matmul",
    "addmm": "matmul",
    "amax": "max",
    "max_pool2d_with_indices": "max pool",
    "avg_pool2d": "average pool",
    "adaptive_avg_pool2d": "average pool",
    "adaptive_max_pool2d": "max pool",
    "constant_pad_nd": "pad",
    "im2col": "unfold",
    "col2im": "fold",
}
# with a single map among their operands; the other operand is a constant or a weight
UNARY = {"add": "shift", "sub": "shift", "mul": "scale", "div": "scale"}
RESIZES = "upsample_"


def operator_words(operator: Operator, operands: Sequence[Shape]) -> str:
    """Return the name of an operator; `operands` are the shapes that it read."""
    if operator.name.startswith(RESIZES):
        grows = not operands or operator.shapes[0][-1] >= operands[0][-1]
        return "up" if grows else "down"
    if len(operator.reads) == 1 and operator.name in UNARY:
        return UNARY[operator.name]
    return OPERATORS.get(operator.name, operator.name.replace("_", " "))


def module_words(module: nn.Module) -> str:
    """Return the class of a module, with the kernel of its convolution if it has exactly one."""
    name = type(module).__name__
    convolutions = [part for part in module.modules() if isinstance(part, _ConvNd)]
    return f"{name} {kernel_words(convolutions[0])}" if len(convolutions) == 1 else name


def kernel_words(conv: _ConvNd) -> str:
    """Return the kernel of a convolution, such as `3x3 s2` for a stride of 2, `d3` for a dilation of 3."""
    words = [TIMES.join(map(str, conv.kernel_size))]
    words += [f"s{conv.stride[0]}"] * (conv.stride[0] > 1)
    words += [f"d{conv.dilation[0]}"] * (conv.dilation[0] > 1)
    return " ".join(words)


def shape_words(shapes: Sequence[Shape]) -> str:
    """Return the shape of one image's result, without N; of several maps of one size, all channels."""
    first, *others = [shape[1:] if shape[:1] == (1,) else shape for shape in shapes]
    if not others:
        return f" {TIMES} ".join(map(str, first))
    if any(shape[1:] != first[1:] or not shape for shape in others):
        return f"{len(shapes)} results"
    channels = " + ".join(str(shape[0]) for shape in (first, *others))
    return f" {TIMES} ".join([channels, *map(str, first[1:])])


def level_words(letter: str, stride: int) -> str:
    """Return the paper's name of a level, such as P3 for stride 8."""
    return (
        f"{letter}{stride.bit_length() - 1}" if stride & (stride - 1) == 0 else f"{letter}, stride {stride}"
    )
