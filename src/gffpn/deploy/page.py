"""The record of an export as a readable page."""

from collections.abc import Mapping
from typing import Any

from gffpn.files.tables import markdown_table
from gffpn.report.table import decimals

PARTS = ("mAP50", "mAP50_95")


def markdown(record: Mapping[str, Any]) -> str:
    """Return the page: heading and, if the file was checked, agreement, average precision and latency."""
    about = record["about"]
    height, width = about["image_size"]
    heading = (
        f"# {record['file']}: {about['run']}\n\n"
        f"{record['bytes'] / 1e6:.1f} MB, images {height} x {width} (H x W), "
        f"{len(about['classes'])} classes; score above {about['score_threshold']}, "
        f"IoU {about['iou_threshold']}, at most {about['max_detections']} detections."
    )
    check = record.get("check")
    if check is None:
        return f"{heading}\n\n**Not checked** (--limit 0).\n"
    return "\n\n".join([heading, _agreement(check), _figures(check), _latency(check)]) + "\n"


def _agreement(check: Mapping[str, Any]) -> str:
    a = check["agreement"]
    return (
        f"{a['images']} images of {check['split']}, as trained in PyTorch (float32) and in ONNX Runtime: "
        f"{a['detections_torch']} and {a['detections_onnx']} detections, with equal counts in "
        f"{a['images_of_same_count']} images. {a['pairs']} agree: their boxes differ by at most "
        f"{a['largest_box_difference_px']:.2g} px, their scores by {a['largest_score_difference']:.2g}. "
        f"Highest score of a detection without a partner: {a['best_score_without_partner']:.2g}."
    )


def _figures(check: Mapping[str, Any]) -> str:
    ours, theirs = check["figures"]["torch"], check["figures"]["onnx"]
    # name of the figure -> number of objects, for a size bin
    names = dict.fromkeys(PARTS) | {f"AP_{size}": ours[f"n_{size}"] for size in check["bins"]}
    percent = decimals(2)
    body = []
    for name, count in names.items():
        before, after = ours[name], theirs[name]
        drop = None if before is None or after is None else 100 * (before - after)
        cells = [percent(None if x is None else 100 * x) for x in (before, after)]
        body.append([name, "" if count is None else str(int(count)), *cells, percent(drop)])
    return markdown_table(["percent", "n", "PyTorch", "ONNX", "drop"], body)


def _latency(check: Mapping[str, Any]) -> str:
    latency = check["latency"]
    ours, theirs = latency["torch"], latency["onnx"]
    return (
        f"From a uint8 image to detections at batch 1, on {latency['images']} images of {check['split']}, "
        f"both timed in the same rounds on {latency['device']}, {latency['threads']} threads: PyTorch, "
        "inference form "
        f"{ours['median_ms']:.2f} ms (p95 {ours['p95_ms']:.2f}), ONNX Runtime {theirs['median_ms']:.2f} ms "
        f"(p95 {theirs['p95_ms']:.2f}); {ours['n']} rounds, ratio "
        f"{ours['median_ms'] / theirs['median_ms']:.2f}."
    )
