"""Options of evaluation and prediction that are refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from segloom.config import EvalConfig, InferenceConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boundary_tolerances": (0.0,)}, "share of the diagonal up to 0.25"),
        ({"boundary_tolerances": (2.0,)}, "share of the diagonal up to 0.25"),
        ({"davis_tolerances": (0.5,)}, "up to 0.25, or 1 to 100 whole pixels"),
        ({"davis_tolerances": (0.00375, 2.5)}, "up to 0.25, or 1 to 100 whole pixels"),
        ({"size_limits": (100, 100)}, "areas must be positive and rise"),
        ({"size_limits": (0, 100)}, "areas must be positive and rise"),
        ({"bootstrap": -1}, "greater than or equal to 0"),
        ({"split": "all"}, "'train', 'val' or 'test'"),
    ],
)
def test_evaluation_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        EvalConfig(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (0, 64)}, "at least 1 pixel each way"),
        ({"scales": ()}, "at least 1 item"),
        ({"scales": (1.0, 0.0)}, "between 0.05 and 20"),
        ({"overlap": 1.0}, "less than 1"),
    ],
)
def test_inference_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        InferenceConfig(**options)
