"""A comparison as Markdown, CSV and LaTeX; per cent and points throughout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from segloom.files import write_csv, write_json, write_text
from segloom.report.comparison_result import ComparedPair, ComparisonResult
from segloom.report.comparison_words import (
    convergence,
    gain,
    general_sentence,
    image_notes,
    mean_and_spread,
    millions,
    p_value,
    shown_scores,
    title,
    verdict,
)
from segloom.text import markdown_cell

__all__ = ["difference_rows", "latex", "markdown", "write_comparison_tables"]


def write_comparison_tables(folder: Path, comparison: ComparisonResult) -> dict[str, Path]:
    """Write comparison.json, table.md, table.csv, differences.csv and table.tex."""
    paths = {name: folder / name for name in ("table.md", "table.tex", "table.csv")}
    write_text(paths["table.md"], markdown(comparison))
    write_text(paths["table.tex"], latex(comparison))
    rows = list(_csv_rows(comparison))
    write_csv(paths["table.csv"], list(dict.fromkeys(key for row in rows for key in row)), rows)
    paths["differences.csv"] = folder / "differences.csv"
    write_csv(paths["differences.csv"], DIFFERENCE_COLUMNS, list(difference_rows(comparison)))
    paths["comparison.json"] = folder / "comparison.json"
    write_json(paths["comparison.json"], comparison.as_json())
    return paths


def markdown(comparison: ComparisonResult) -> str:
    """Lay out one table per group: scores, gain, p-value and verdict."""
    names = shown_scores(comparison)
    parts = []
    for group in comparison.groups:
        lines = [
            f"### {markdown_cell(title(group))}",
            "",
            " ".join(
                [f"{group.num_images} test images.", *image_notes(group), convergence(group)]
            ).rstrip(),
            "",
            "| | parameters | seeds | "
            + " | ".join(markdown_cell(name) for name in names)
            + " | gain in mIoU, 95 % interval | p (Holm) | verdict |",
            "|---" * (len(names) + 6) + "|",
        ]
        pairs = {pair.variant: pair for pair in group.pairs}
        for row in group.rows:
            cells = [
                markdown_cell(row.variant),
                millions(row.cost.get("parameters")),
                str(len(row.seeds)),
            ]
            cells += [mean_and_spread(row.scores.get(name)) for name in names]
            cells += _gain_cells(pairs.get(row.variant))
            lines.append("| " + " | ".join(cells) + " |")
        lines += [
            f"\n{markdown_cell(cell.name)}: {cell.state}. {markdown_cell(cell.cause)}"
            for row in group.rows
            for cell in row.missing
        ]
        parts.append("\n".join(lines))
    general = [f"- {markdown_cell(general_sentence(item))}" for item in comparison.general]
    if general:
        parts.insert(0, "\n".join(general))
    return "\n\n".join([*parts, comparison.rule]) + "\n"


def _gain_cells(pair: ComparedPair | None) -> list[str]:
    if pair is None:
        return ["", "", ""]
    score = pair.scores.get("mIoU")
    if score is None or score.difference is None:
        return ["", "", pair.verdict]
    return [gain(score), p_value(score.holm_p_value), verdict(pair)]


def latex(comparison: ComparisonResult) -> str:
    """Lay out the same as one LaTeX table of the package booktabs."""
    names = shown_scores(comparison)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{tabular}{l" + "r" * (len(names) + 3) + "}",
        r"\toprule",
        " & ".join(["", "seeds", *(_tex(name) for name in names), "gain in mIoU", "$p$"]) + r" \\",
    ]
    for group in comparison.groups:
        pairs = {pair.variant: pair for pair in group.pairs}
        width = len(names) + 4
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{{_tex(title(group))}}} \\"]
        for row in group.rows:
            cells = [_tex(row.variant), str(len(row.seeds))]
            cells += [mean_and_spread(row.scores.get(name), r"$\pm$") for name in names]
            cells += [_tex(cell) for cell in _gain_cells(pairs.get(row.variant))[:2]]
            lines.append(" & ".join(cells) + r" \\")
            for lost in row.missing:
                text = _tex(f"{lost.name}: {lost.state}. {lost.cause}")
                lines.append(rf"\multicolumn{{{width}}}{{l}}{{\footnotesize {text}}} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _tex(text: str) -> str:
    return " ".join(text.translate(TEX).split())


TEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "_%&#${}"}
    | {sign: f"${sign}$" for sign in "<>|"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)
"""What has a meaning in LaTeX."""


def _csv_rows(comparison: ComparisonResult) -> Iterator[dict[str, object]]:
    """One row per run, the lost ones too."""
    for group in comparison.groups:
        place = {key: getattr(group, key) for key in ("recipe", "architecture", "encoder")}
        for row in group.rows:
            for index, seed in enumerate(row.seeds):
                scores = {name: score.values[index] for name, score in row.scores.items()}
                yield {
                    **place,
                    "variant": row.variant,
                    "seed": seed,
                    "state": "done",
                    "cause": "",
                    **scores,
                }
            for cell in row.missing:
                yield {**place, "variant": row.variant, **{key: getattr(cell, key) for key in LOST}}


LOST = ("seed", "state", "cause")

DIFFERENCE_COLUMNS = (
    *("recipe", "architecture", "encoder", "variant", "baseline", "score", "seeds"),
    *("difference", "low", "high", "p_value", "holm_p_value", "sign_flip_p_value"),
    *("effect_size", "detectable", "equal_p_value", "seed_share", "verdict"),
    *("seed_correlation", "has_converged"),
)


def difference_rows(comparison: ComparisonResult) -> Iterator[dict[str, object]]:
    """Return one row per comparison and score, of plain values."""
    for group in comparison.groups:
        place = {key: getattr(group, key) for key in ("recipe", "architecture", "encoder")}
        for pair in group.pairs:
            for name, score in pair.scores.items():
                low, high = score.interval or (None, None)
                values = asdict(score)
                copied = {key: values[key] for key in DIFFERENCE_COLUMNS if key in values}
                yield {
                    **place,
                    "variant": pair.variant,
                    "baseline": pair.baseline,
                    "score": name,
                    "seeds": len(pair.seeds),
                    **copied,
                    "low": low,
                    "high": high,
                    "verdict": pair.verdict if name == comparison.primary else "",
                    "seed_correlation": pair.seed_correlation,
                    "has_converged": pair.has_converged,
                }
