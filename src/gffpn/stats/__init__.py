"""Statistics of comparisons: intervals, verdicts and planning. Needs no torch."""
