"""Nothing in the installed closure of segloom is under the GPL or AGPL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

COPYLEFT = re.compile(r"\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)


def closure(name: str, extras: frozenset[str]) -> Iterator[str]:
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [(canonicalize_name(name), extras)]
    while queue:
        item = queue.pop()
        if item in seen:
            continue
        seen.add(item)
        try:
            found = distribution(item[0])
        except PackageNotFoundError:
            continue  # only for another system or Python
        yield item[0]
        for text in found.requires or []:
            need = Requirement(text)
            environments = [{"extra": extra} for extra in item[1] or {""}]
            if need.marker is None or any(need.marker.evaluate(e) for e in environments):
                queue.append((canonicalize_name(need.name), frozenset(need.extras)))


def licence(name: str) -> str:
    metadata = distribution(name).metadata
    kinds = [text for text in metadata.get_all("Classifier", []) if "License ::" in text]
    stated = metadata.get("License-Expression") or (metadata.get("License") or "")[:200]
    return " ".join([stated, *kinds])


def test_no_package_of_the_closure_is_copyleft():
    extras = frozenset({"pretrained", "medical", "ray", "serve", "slurm", "tune", "dev"})
    packages = sorted(set(closure("segloom", extras)))
    assert {"torch", "lightning", "opencv-python-headless"} <= set(packages)
    copyleft = {name: licence(name) for name in packages if COPYLEFT.search(licence(name))}
    copyleft = {n: text for n, text in copyleft.items() if "Lesser" not in text}
    assert copyleft == {}


def test_the_pattern_knows_what_it_looks_for():
    assert COPYLEFT.search("License :: OSI Approved :: GNU Affero General Public License v3")
    assert COPYLEFT.search("AGPL-3.0-only")
    assert not COPYLEFT.search("Apache-2.0")
