"""Train-time augmentation."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gffpn.data.canvas import BoxRule, Place, Sample, Source, drawn
from gffpn.data.copy_paste import CopyPaste
from gffpn.data.placing import cropped, four_around, zoomed

CROP_MULTIPLE = 32
"""Side of a crop in pixels must be a multiple of this, the largest stride of the backbones."""
# weights of red, green and blue in a pixel's grey value: luma of ITU-R BT.601
GREY_SHARES = torch.tensor([0.299, 0.587, 0.114])


class Augment:
    """Random crop, zoom, shift, mosaic, flips, right-angle turns and colour jitter.

    There is no other rotation and no shear, so boxes stay tight.

    `crop` is the side in pixels of the training samples, which show a random window of the image at the scale
    of evaluation; None shows whole images. `crop_on_object` is the probability that a window (with mosaic,
    each of the four) contains the centre of a random object of its image. `mosaic` is the probability that a
    sample shows four images; in the last `mosaic_off_epochs` epochs, no sample does. `scale` is the range of
    the zoom. `translate` is the largest shift, as a share of the image size; it applies neither to crops nor
    to mosaic tiles, which can be anywhere. `hflip`, `vflip` and
    `transpose` are the probabilities of mirroring left to right, upside down and along the diagonal from top
    left to bottom right; with 0.5 each, all eight turned and mirrored views of a square are equally likely.
    `copy_paste` is the mean number of objects that are pasted onto a sample, of those whose longer side is
    less than `copy_paste_side` pixels, see `CopyPaste`.
    `brightness`, `contrast` and `saturation` of x give a random factor from 1 - x to 1 + x. For `min_box_px`
    and `min_visible`, see `BoxRule`; the boxes that it drops are counted.

    Raises ValueError for a value out of range.
    """

    def __init__(
        self,
        *,
        crop: int | None = None,
        crop_on_object: float = 0.5,
        mosaic: float = 0.0,
        mosaic_off_epochs: int = 0,
        copy_paste: float = 0.0,
        copy_paste_side: float = 32.0,
        scale: tuple[float, float] = (1.0, 1.0),
        translate: float = 0.0,
        hflip: float = 0.0,
        vflip: float = 0.0,
        transpose: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        min_box_px: float = 2.0,
        min_visible: float = 0.1,
    ) -> None:
        shares = {
            "crop_on_object": crop_on_object,
            "mosaic": mosaic,
            "translate": translate,
            "hflip": hflip,
            "vflip": vflip,
            "transpose": transpose,
            "brightness": brightness,
            "contrast": contrast,
            "saturation": saturation,
            "min_visible": min_visible,
        }
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise ValueError(f"augment.{name}: got {value}, expected a number from 0 to 1")
        amounts = {
            "mosaic_off_epochs": mosaic_off_epochs,
            "copy_paste": copy_paste,
            "copy_paste_side": copy_paste_side,
            "min_box_px": min_box_px,
        }
        for name, value in amounts.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"augment.{name}: got {value}, expected 0 or more")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise ValueError(f"augment.scale: got {list(scale)}, expected [low, high] with 0 < low <= high")
        if crop is not None and (crop < CROP_MULTIPLE or crop % CROP_MULTIPLE):
            raise ValueError(
                f"augment.crop: got {crop}, expected null or a number of pixels that is a multiple of "
                f"{CROP_MULTIPLE}"
            )
        self.crop = crop
        self.on_object = crop_on_object if crop is not None else 0.0
        self.mosaic = mosaic
        self.mosaic_off_epochs = mosaic_off_epochs
        self.scale = (scale[0], scale[1])
        self.translate = translate
        self.flips = ((hflip, 2), (vflip, 1))
        self.transpose = transpose
        self.colour = (brightness, contrast, saturation)
        self.copy_paste = CopyPaste(copy_paste, copy_paste_side, self.flips) if copy_paste else None
        self.rule = BoxRule(min_box_px, min_visible)

    def sample_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size (H, W) of the training samples of images of `image_size`.

        Raises ValueError for a crop that is larger than the images, and for transposed samples that are not
        square.
        """
        if self.crop is None:
            if self.transpose and image_size[0] != image_size[1]:
                raise ValueError(
                    f"augment.transpose: got {self.transpose}, expected 0 for images that are not square: "
                    f"image_size is {image_size[0]} x {image_size[1]} (H x W)"
                )
            return image_size
        if self.crop > min(image_size):
            raise ValueError(
                f"augment.crop: got {self.crop}, expected at most the image_size, "
                f"{image_size[0]} x {image_size[1]} (H x W)"
            )
        return self.crop, self.crop

    def __call__(
        self,
        read: Callable[[int], Source],
        index: int,
        *,
        count: int,
        image_size: tuple[int, int],
        epochs_left: int,
        rng: np.random.Generator,
    ) -> Sample:
        """Return the augmented sample of image `index`, one of `count`, with the size `sample_size`.

        `read` returns the image at a position. `epochs_left` includes the current epoch.
        """
        size = self.sample_size(image_size)
        if rng.uniform() < self.mosaic and epochs_left > self.mosaic_off_epochs:
            others = rng.integers(count, size=3).tolist()
            sources = [read(number) for number in (index, *others)]
            order = rng.permutation(4)
            places = four_around([sources[k] for k in order], size, self.scale, self.on_object, rng)
            sample = drawn(places, size, self.rule, by="mosaic")
        else:
            places = [self._single(read(index), size, rng)]
            sample = drawn(places, size, self.rule, by="crop")
        if self.copy_paste:
            donors = [*(place.source for place in places), read(int(rng.integers(count)))]
            sample = self.copy_paste(sample, places, donors, rng)
        for probability, axis in self.flips:
            if rng.uniform() < probability:
                sample = flipped(sample, axis)
        if self.transpose and rng.uniform() < self.transpose:
            sample = transposed(sample)
        factors = [rng.uniform(1 - spread, 1 + spread) for spread in self.colour]
        return sample._replace(image=recoloured(sample.image, *factors)) if any(self.colour) else sample

    def _single(self, source: Source, size: tuple[int, int], rng: np.random.Generator) -> Place:
        if self.crop is None:
            return zoomed(source, size, self.scale, self.translate, rng)
        return cropped(source, size, self.scale, self.on_object, rng)


def flipped(sample: Sample, axis: int) -> Sample:
    """Mirror a sample along axis 1 (upside down) or 2 (left to right) of its image."""
    side = sample.image.shape[axis]
    near, far = (0, 2) if axis == 2 else (1, 3)
    boxes = sample.boxes.copy()
    boxes[:, near], boxes[:, far] = side - sample.boxes[:, far], side - sample.boxes[:, near]
    return sample._replace(image=sample.image.flip(axis), boxes=boxes)


def transposed(sample: Sample) -> Sample:
    """Exchange the rows and columns of a sample's image."""
    image = sample.image.transpose(1, 2).contiguous()
    return sample._replace(image=image, boxes=sample.boxes[:, [1, 0, 3, 2]])


def recoloured(image: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Adjust the brightness, contrast and saturation of an image, uint8 (3, H, W).

    The factors scale, in this order, the values, their distance to the image's mean grey, and their distance
    to the pixel's own grey. The three steps are one affine map of a pixel's colours, and the result is
    rounded and clamped to 0..255 only once, at the end.
    """
    flat = image.flatten(1).float()
    gain = brightness * contrast
    of_colours = gain * (saturation * torch.eye(3) + (1 - saturation) * GREY_SHARES)
    # the mean grey has no colour, so saturation does not change it
    shift = (1 - contrast) * brightness * (GREY_SHARES @ flat.mean(1))
    mapped = torch.addmm(shift.expand(3)[:, None], of_colours, flat)
    return mapped.round_().clamp_(0, 255).to(torch.uint8).view_as(image)
