"""The report of an evaluation: one HTML file that needs nothing but itself.

`read` takes the files of a run, `sections` turns them into what is shown, `plots` lays out the
charts, `embed` shrinks the pictures, and `report.html.j2` with `charts.html.j2`, `report.css` and
`report.js` draws it all. `curves` draws the training of a run as a picture, `rate_curve` a
learning-rate range test. Nothing here imports torch.
"""

from __future__ import annotations

from segloom.report.curves import write_curves
from segloom.report.html import write_report
from segloom.report.rate_curve import write_rate_test

__all__ = ["write_curves", "write_rate_test", "write_report"]
