"""Options out of their range are refused with the fix."""

from __future__ import annotations

import pytest

from segloom.errors import ConfigError
from segloom.runtime.options import Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": (0, 5)}, "give a height and a width of 1 or more"),
        ({"overlap": 1.0}, "from 0 to less than 1"),
        ({"blend": "hard"}, "take smooth or average"),
        ({"scales": ()}, "give one or more from 0.05 to 20"),
        ({"scales": (1.0, 21)}, "give one or more from 0.05 to 20"),
        ({"average": "labels"}, "take probabilities or logits"),
    ],
)
def test_values_out_of_range_are_named(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Options(**options)


def test_what_is_averaged_is_known() -> None:
    assert not Options().averages_views
    assert not Options().scores_are_probabilities
    assert Options(flip=True).scores_are_probabilities
    assert not Options(scales=(0.5,), average="logits").scores_are_probabilities
