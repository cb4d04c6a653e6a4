"""Is every kind of bad data refused by name, and left out of training if the user asks for it?"""

from pathlib import Path

import pytest

from bad_data import as_a_user_does, make, refusal, skipping
from bad_sets import CASES, Case
from commands import Train

TRAINED = ("truncated JPEG", "unknown class number", "16-bit image")
REFUSED_AGAIN = ("missing folder", "malformed JSON", "empty split")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_data_is_refused_by_name(case: Case, tmp_path: Path) -> None:
    refusal(case, make(case, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in TRAINED + REFUSED_AGAIN], ids=lambda case: case.name
)
def test_skipping_trains_and_counts_or_reports_the_reason(case: Case, tmp_path: Path) -> None:
    assert case.skippable == (case.name in TRAINED)
    skipping(case, tmp_path, make(case, tmp_path))


@pytest.mark.slow
def test_the_log_of_a_run_counts_the_skipped_faults(tmp_path: Path, train: Train) -> None:
    as_a_user_does(tmp_path, "data.on_error=skip", train=train)
