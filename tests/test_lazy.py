"""Names that load on first use: from their module, once asked for, and no others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from segloom.lazy import lazy_names


def test_a_name_comes_from_its_module():
    get = lazy_names("shop", {"sqrt": "math", "Path": "pathlib"})
    assert get("sqrt")(9) == 3
    assert get("Path").__module__.startswith("pathlib")


def test_another_name_is_missing_as_in_any_module():
    with pytest.raises(AttributeError, match="module 'shop' has no attribute 'pi'"):
        lazy_names("shop", {"sqrt": "math"})("pi")


def test_the_module_is_imported_on_first_use_alone():
    program = (
        "import sys; from segloom.lazy import lazy_names\n"
        "get = lazy_names('shop', {'Fraction': 'fractions'})\n"
        "assert 'fractions' not in sys.modules\n"
        "get('Fraction')\n"
        "assert 'fractions' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
