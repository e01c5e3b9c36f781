"""The runs of a comparison: the plan's cells, their state on disk, estimates and budgets."""
