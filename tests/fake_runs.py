"""Finished run folders with invented figures, for tests that read runs back."""

import csv
import json
from pathlib import Path
from typing import Any

import yaml

BINS = {"0_8": 0, "8_16": 12, "16_32": 40, "32_96": 81, "96_up": 5}


def finished_run(
    runs: Path,
    neck: str,
    *,
    seed: int = 0,
    ablation: str | None = None,
    data: str = "tinyindus_sim",
    classes: tuple[str, ...] = ("pock", "flaw"),
    mAP50: float = 0.5,
    epochs: int = 3,
    **changes: Any,
) -> Path:
    """Write `config.yaml`, `metrics.json` and one attempt's log of a run, and return its folder.

    `changes` are added to metrics.json unchanged.
    """
    choice = {"backbone": "cspdarknet", "neck": neck, "head": "tal", "data": data, "ablation": ablation}
    run = runs / f"{neck}_{ablation or 'plain'}_{data}_s{seed}"
    config = {"seed": seed, "choice": choice, "neck": {"name": neck, "ablation": ablation}, "data": {"n": 1}}
    by_size = {
        f"test/AP_{size}": mAP50 * (0.2 + 0.2 * i) if n else None for i, (size, n) in enumerate(BINS.items())
    }
    metrics = {
        **choice,
        "size": "n",
        "seed": seed,
        "image_size": "320",
        "simulated": data == "tinyindus_sim",
        "settings": f"{epochs} epochs, batch 16, adamw lr 0.002",
        "data_fingerprint": f"{len(data):012x}",
        "commit": "0" * 40,
        "dirty": False,
        "test/mAP50": mAP50,
        "test/mAP50_95": mAP50 / 2,
        **{f"test/AP50/{name}": mAP50 * (0.8 + 0.4 * i / len(classes)) for i, name in enumerate(classes)},
        **by_size,
        **{f"test/n_{size}": n for size, n in BINS.items()},
        **{f"test/n_native_{size}": n for size, n in BINS.items()},
        "params_m": 1.0 + len(neck) / 10,
        "gflops": 2.0 + len(neck) / 5,
        "fps_forward": 30.0,
        "fps_end_to_end": 25.0,
        "device": "a processor",
        "threads": 2,
        "minutes": 12.5,
        **changes,
    }
    logged: list[dict[str, object]] = [
        {
            "epoch": epoch,
            "step": 10 * epoch + 9,
            "train/loss": 9 / (epoch + 1) + mAP50,
            "val/loss": 10 / (epoch + 1) + mAP50,
            "val/mAP50": mAP50 * (1 - 0.5 ** (epoch + 1)),
            "train/minutes": 0.5 * (epoch + 1),
        }
        for epoch in range(epochs)
    ]
    write_log(run, attempt=0, rows=logged)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "metrics.json").write_text(json.dumps(metrics))
    return run


def write_log(run: Path, *, attempt: int, rows: list[dict[str, object]]) -> None:
    """Write `logs/attempt_N/metrics.csv`; columns missing from a row stay empty, as in Lightning's logs."""
    path = run / "logs" / f"attempt_{attempt}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
