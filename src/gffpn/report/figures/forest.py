"""Forest plot: a row per contrast, its difference with interval beside the margin that matters."""

from matplotlib.axes import Axes

from gffpn.report.answer import interval, likelihood, margin_words, points
from gffpn.report.figures.canvas import Drawing, axes, tag
from gffpn.report.figures.palette import BAND, INK, QUIET, colour
from gffpn.report.figures.series import seed_differences, versus, width_of
from gffpn.report.which import difference_name
from gffpn.stats.study import Contrast, Study

FARTHEST = 105.0
"""Points beyond which no axis reaches: no two figures differ by more than 100."""
ROOM = 350
"""Points across the figure."""
CAPTION = """\
Line: 95 % interval of one contrast by itself. Grey: cannot tell. Shaded: differences below the margin
of {margin} points. Ticks below a line: the smallest true difference that this comparison finds with a
probability of 80 %, unless it is beyond the axis. Dots above a line: each seed of the first arm against the
mean of the second; below it: each seed of the second arm, likewise. P: probability that a run of the first
arm has the higher figure, over seeds and test images."""


def forest(study: Study) -> Drawing | None:
    """Return the forest plot of a study's contrasts, or None if there is no contrast with an estimate."""
    rows = [one for one in study.contrasts if one.estimate and one.verdict]
    if not rows:
        return None
    margin = 100 * study.question.margin
    position = {arm.name: at for at, arm in enumerate(study.arms)}
    with axes(0.66 + 0.58 * len(rows)) as (figure, plot):
        plot.margins(x=0.06)
        plot.axvspan(-margin, margin, color=BAND, zorder=0)
        plot.axvline(0, color=QUIET, linewidth=0.6, zorder=1)
        for y, contrast in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
            _row(plot, y, contrast, (position[contrast.a.name], position[contrast.b.name]))
        low, high = plot.get_xlim()
        plot.set_xlim(max(low, -FARTHEST), min(high, FARTHEST))
        for y, contrast in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
            _detectable(plot, y, contrast)
        plot.set_ylim(-0.5, len(rows) - 0.25)
        plot.set_yticks([])
        plot.spines["left"].set_visible(False)
        plot.set_xlabel(f"difference in {study.question.primary_endpoint}, percent points")
    endpoint = study.question.primary_endpoint
    return Drawing(
        figure,
        f"Differences in {endpoint} with 95 % intervals",
        "; ".join(_words(one) for one in rows) + ".",
        CAPTION.format(margin=margin_words(study.question.margin)),
    )


def _words(contrast: Contrast) -> str:
    assert contrast.estimate
    assert contrast.verdict
    return (
        f"{difference_name(contrast.a.name, contrast.b.name)}: "
        f"{points(contrast.estimate.delta, sign=True)} points "
        f"({interval(*contrast.estimate.interval())}), {contrast.verdict.word}"
    )


def _row(plot: Axes, y: int, contrast: Contrast, arms: tuple[int, int]) -> None:
    assert contrast.estimate
    assert contrast.verdict
    one, word = contrast.estimate, contrast.verdict.word
    low, high = (100 * end for end in one.interval())
    unknown = word == "cannot tell"
    winner = arms[0] if one.delta > 0 else arms[1]
    shade = QUIET if unknown else INK if word == "same" else colour(winner)
    (line,) = plot.plot([low, high], [y, y], color=shade, linewidth=2.2, solid_capstyle="butt", zorder=3)
    (middle,) = plot.plot(
        [100 * one.delta],
        [y],
        "D",
        color=shade,
        markersize=5.5,
        markerfacecolor="none" if unknown else shade,
        zorder=4,
    )
    for artist in (line, middle):
        artist.set_gid(tag(*arms))
    for values, level, arm in zip(seed_differences(contrast), (0.11, -0.11), arms, strict=True):
        (dots,) = plot.plot(
            values, [y + level] * len(values), "o", color=colour(arm), markersize=2.6, zorder=4
        )
        dots.set_gid(tag(arm))
    figures = f"{points(one.delta, sign=True)} ({interval(*one.interval())})"
    beside = width_of(f"   {figures}   P > 0.99")
    text = f"{versus(contrast.a.name, contrast.b.name, ROOM - beside)}   {figures}"
    height = plot.get_yaxis_transform()
    left = plot.text(0, y + 0.27, text, transform=height, color=QUIET if unknown else INK)
    right = plot.text(
        1, y + 0.27, f"P {likelihood(one.superiority)}", transform=height, ha="right", color=QUIET
    )
    for label in (left, right):
        label.set_gid(tag(*arms))


def _detectable(plot: Axes, y: int, contrast: Contrast) -> None:
    """Draw ticks at the smallest difference that a contrast finds, if they are within the axis."""
    assert contrast.verdict
    found = 100 * contrast.verdict.detectable
    plot.plot([-found, found], [y - 0.13] * 2, "|", color=QUIET, markersize=5, zorder=2, scalex=False)
