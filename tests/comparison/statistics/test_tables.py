"""Names inside Markdown and LaTeX."""

from __future__ import annotations

from dataclasses import replace

from support.comparisons import measured, study

from segloom.comparison.statistics.analysis import FailedCell, analyse
from segloom.comparison.statistics.tables import latex, markdown


def test_names_stay_inside_their_cells():
    name = "x|y <i>\n_$5%^{~}\\#&"
    values = analyse([*study(), measured(name, 0, 0.5)], baseline="none")
    row = next(line for line in markdown(values).splitlines() if line.startswith("| x"))
    assert row.startswith(r"| x\|y &lt;i> _$5%^{~}\\#& |")
    assert row.replace(r"\|", "").count("|") == 10
    row = next(line for line in latex(values).splitlines() if line.startswith("x"))
    safe = r"x$|$y $<$i$>$ \_\$5\%\textasciicircum{}\{\textasciitilde{}\}\textbackslash{}\#\& &"
    assert row.startswith(safe)
    assert row.endswith(r" \\")


def test_identical_runs_have_a_row_without_a_p_value():
    runs = [measured("none", seed, 0.5) for seed in (0, 1)]
    values = analyse([*runs, *(replace(run, variant="same") for run in runs)], baseline="none")
    pair = values.groups[0].pairs[0]
    assert pair.verdict == "practically equal"
    assert "| practically equal |" in markdown(values)
    assert "nan" not in markdown(values) + latex(values)


def test_latex_says_how_many_seeds_there_are_and_which_are_missing():
    runs = [measured("none", 0, 0.4), measured("afma", 0, 0.5)]
    lost = FailedCell("afma-seed1", runs[0].group, "afma", 1, "failed", "50 % of_memory.")
    text = latex(analyse(runs, baseline="none", missing=[lost]))
    row = next(line for line in text.splitlines() if line.startswith("afma"))
    assert row.startswith("afma & 1 & ")
    assert r"{\footnotesize afma-seed1: failed. 50 \% of\_memory.} \\" in text
