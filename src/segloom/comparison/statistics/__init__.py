"""From per-image counts to paired differences, intervals, verdicts and tables."""
