"""Are the curves, the confusion matrix and the images of an operating point right?"""

import numpy as np
import pytest

from gffpn.metrics.average_precision import average_precision
from gffpn.metrics.matching import size_ranges
from gffpn.stats.bands import band
from gffpn.stats.error_counts import error_counts
from gffpn.stats.error_gains import error_gains
from gffpn.stats.error_types import ErrorType
from gffpn.stats.hits import find_hits
from gffpn.stats.operating import confusion_matrix, image_calls, precision_recall
from gffpn.stats.rates import error_rates
from hand_predictions import Image, erring_detector, predictions

PART = [0.0, 0.0, 20.0, 20.0]
# a hit and a wrong class; a call at another place; no call; found; clean with a call; clean; a crowd region
LINE = (
    Image([[*PART, 0], [40, 0, 60, 20, 1]], [[*PART, 0, 0.9], [40, 0, 60, 20, 0, 0.8]]),
    Image([[*PART, 1]], [[50, 50, 70, 70, 1, 0.7]]),
    Image([[*PART, 0]], [[*PART, 0, 0.4]]),
    Image([[*PART, 0]], [[*PART, 0, 0.9]]),
    Image(detections=[[*PART, 0, 0.6]]),
    Image(detections=[[*PART, 0, 0.3]]),
    Image(detections=[[5, 5, 15, 15, 0, 0.9]], crowd=[[*PART, 0]]),
)


def test_curves_by_hand() -> None:
    # true, false, true of two objects of class 0; no object of class 1
    image = Image(
        [[*PART, 0], [40, 0, 60, 20, 0]],
        [[*PART, 0, 0.9], [90, 90, 99, 99, 0, 0.8], [40, 0, 60, 20, 0, 0.7]],
    )
    curves = precision_recall(predictions(image))
    assert curves.recall[[0, 50, 100]].tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(curves.precision[0], [1.0] * 51 + [2 / 3] * 50)
    assert np.isnan(curves.precision[1]).all()
    np.testing.assert_array_equal(curves.mean, curves.precision[0])


def test_the_mean_of_a_curve_is_average_precision() -> None:
    made = erring_detector(3, crowd=0.1)
    matches = made.evaluated.matches(3, size_ranges((8,)))
    expected = average_precision(matches)[:, 0]
    curves = precision_recall(made)
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_allclose(curves.precision.mean(axis=1), expected, atol=1e-12)
    assert curves.mean.mean() == pytest.approx(expected.mean())


def test_without_objects_there_is_no_curve() -> None:
    assert np.isnan(precision_recall(predictions(Image())).mean).all()


def test_the_confusion_matrix_by_hand() -> None:
    # the last column is missed, the last row called on background
    assert confusion_matrix(predictions(*LINE), 0.5).tolist() == [[2, 0, 1], [1, 0, 1], [1, 1, 0]]
    # with all detections, the third image is found and two clean ones are called
    assert confusion_matrix(predictions(*LINE), 0.3).tolist() == [[3, 0, 0], [1, 0, 1], [2, 1, 0]]


def test_an_object_has_one_call_in_the_confusion_matrix() -> None:
    # the first takes the object, though its class is wrong
    image = Image([[*PART, 0]], [[*PART, 1, 0.9], [*PART, 0, 0.8]])
    assert confusion_matrix(predictions(image), 0.5).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_every_object_and_counted_call_is_in_the_confusion_matrix_once() -> None:
    made = erring_detector(4, crowd=0.2)
    counts = confusion_matrix(made, 0.3)
    objects = made.evaluated.objects.label[~made.evaluated.crowd]
    np.testing.assert_array_equal(counts[:-1].sum(axis=1), np.bincount(objects, minlength=3))
    ignored = (made.evaluated.scores >= 0.3).sum() - counts[:, :-1].sum()
    assert 0 < ignored < 20


def test_escapes_and_overkill_by_hand() -> None:
    images = image_calls(predictions(*LINE), 0.5)
    # the part with a call at another place does not pass, but its object is missed
    assert images.escape_rate() == 1 / 4
    assert images.missed_object_rate() == 3 / 4
    # a crowd region is neither a clean part nor one with objects to find
    assert images.overkill_rate() == 1 / 2
    assert images.called.tolist() == [True, True, False, True, True, False, False]
    drawn = np.array([0, 1, 3, 0, 2, 1, 5])
    assert images.escape_rate(drawn) == 3 / 4
    assert images.overkill_rate(drawn) == 2 / 3


def test_rates_without_such_images_do_not_exist() -> None:
    images = image_calls(predictions(LINE[0]), 0.5)
    assert images.overkill_rate() is None
    assert images.escape_rate(np.array([0])) is None
    assert image_calls(predictions(LINE[4]), 0.5).missed_object_rate() is None


def test_error_rates_by_hand() -> None:
    counts = error_counts(predictions(*LINE), 0.5, (16.0,))
    found = error_rates([counts], np.array([[1, 0, 0, 0, 1, 0, 0]]))
    points, drawn = found.points[0].reshape(6, 2), found.replicates[0, 0].reshape(6, 2)
    # per image: a wrong class of 7 images, two calls on background; no errors below 16 px
    assert points[ErrorType.CLASSIFICATION].tolist() == [0, 1 / 7]
    assert points[ErrorType.BACKGROUND].tolist() == [0, 2 / 7]
    # per object: two of five are missed, the one of the wrong class could be corrected; none is below 16 px
    assert np.isnan(points[ErrorType.MISSED, 0])
    assert points[ErrorType.MISSED, 1] == 2 / 5
    assert drawn[ErrorType.BACKGROUND, 1] == 1 / 2
    assert drawn[ErrorType.MISSED, 1] == 0.0
    difference = band(error_rates([counts], np.eye(7, dtype=np.int64)), images=7)
    assert np.isnan(difference.lower).tolist() == np.isnan(difference.value).tolist()
    assert np.isfinite(difference.upper).sum() == 11


@pytest.mark.parametrize("image", [Image(), Image([[*PART, 0]]), Image(detections=[[*PART, 0, 0.9]])])
def test_images_without_objects_or_detections_are_counted(image: Image) -> None:
    made = predictions(image, image)
    counts = error_counts(made, 0.5, (16.0,))
    assert counts.errors.sum(axis=(0, 2)).tolist() == [
        0,
        0,
        0,
        0,
        2 * len(image.detections),
        2 * len(image.objects),
    ]
    assert confusion_matrix(made, 0.5).sum() == 2 * len(image.detections) + 2 * len(image.objects)
    assert image_calls(made, 0.5).called.tolist() == [bool(image.detections)] * 2
    assert find_hits(made, 0.5).hit.tolist() == [False] * 2 * len(image.objects)
    gains = error_gains(made)
    assert gains.mAP50 == 0.0 if image.objects else np.isnan(gains.gain).all()
