"""Parts of other packages and of single files, by kind and name.

An installed package names its parts by entry points, a file by a mapping at its end:

    PLUGINS = {"enhancements": {"eca": EcaConfig}, "losses": {"gce": GeneralizedCrossEntropy}}

Files are named in the environment variable `FILES`, by ``segloom --plugin`` or `load_plugin`, so
that processes which are started by this one know them too. Importing this file imports no plug-in.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from segloom.errors import ConfigError

__all__ = [
    "FILES",
    "KINDS",
    "find_plugin",
    "load_plugin",
    "plugin_files",
    "plugin_places",
    "plugin_words",
]

FILES = "SEGLOOM_PLUGINS"
"""Environment variable with the plug-in files, divided like a path list."""

KINDS = {
    "enhancements": "enhancement",
    "architectures": "architecture",
    "losses": "loss",
    "measures": "measure",
    "datasets": "data set",
    "transforms": "transform",
}
"""Kinds of parts, which are the ends of entry-point groups (``segloom.losses``), in words."""


def load_plugin(file: str | os.PathLike[str]) -> list[str]:
    """Make the parts of a file known, in this process and in those that it starts.

    Args:
        file: A Python file that ends with ``PLUGINS``.

    Returns:
        What it brings, such as ``enhancement eca``.

    Raises:
        ConfigError: The file is missing, fails, or does not say what it brings.
    """
    path = Path(file).expanduser().absolute()
    parts = _parts_of(path)
    files = [path for path in os.environ.get(FILES, "").split(os.pathsep) if path]
    if str(path) not in files:
        os.environ[FILES] = os.pathsep.join([*files, str(path)])
    return [f"{KINDS[kind]} {name}" for kind, names in parts.items() for name in names]


@contextmanager
def plugin_files(files: Iterable[str]) -> Iterator[None]:
    """Make the parts of files known as long as the context lasts; see `load_plugin`."""
    before = os.environ.get(FILES)
    try:
        for file in files:
            load_plugin(file)
        yield
    finally:
        os.environ.pop(FILES, None)
        if before is not None:
            os.environ[FILES] = before


def plugin_words() -> str:
    """Return the words of a command line that name the plug-in files, with a space before each."""
    files = [path for path in os.environ.get(FILES, "").split(os.pathsep) if path]
    return "".join(f" --plugin {shlex.quote(path)}" for path in files)


def plugin_places(kind: str) -> dict[str, str]:
    """Map the parts of a kind that packages and files bring to their ``module:object``.

    No package is imported.

    Args:
        kind: One of `KINDS`.

    Raises:
        ConfigError: A plug-in file cannot be used.
    """
    places = {point.name: point.value for point in entry_points(group=f"segloom.{kind}")}
    for parts in _files():
        for name, part in parts.get(kind, {}).items():
            module = getattr(part, "__module__", "")
            places[name] = f"{module}:{getattr(part, '__qualname__', name)}"
    return places


def find_plugin(kind: str, name: str) -> Any:
    """Load a part; None if nothing brings one of this name.

    Args:
        kind: One of `KINDS`.
        name: Its name; a file goes before a package.

    Raises:
        ConfigError: It cannot be loaded; the sentence names the package or the file.
    """
    for parts in _files():
        if name in parts.get(kind, {}):
            return parts[kind][name]
    points = (point for point in entry_points(group=f"segloom.{kind}") if point.name == name)
    first = next(points, None)
    return None if first is None else _load(first, kind)


def _load(point: EntryPoint, kind: str) -> Any:
    package = point.dist.name if point.dist is not None else point.module
    try:
        return point.load()
    except Exception as error:  # the code of others may fail in any way
        raise ConfigError(
            f"the package {package} brings the {KINDS[kind]} '{point.name}' ({point.value}), which "
            f"cannot be loaded: {_reason(error)}; correct, update or uninstall {package}."
        ) from error


def _files() -> list[Mapping[str, Mapping[str, object]]]:
    paths = os.environ.get(FILES, "").split(os.pathsep)
    return [_parts_of(Path(path)) for path in paths if path]


@lru_cache(maxsize=64)
def _parts_of(path: Path) -> Mapping[str, Mapping[str, object]]:
    parts = getattr(_import(path), "PLUGINS", None)
    if not isinstance(parts, Mapping) or not all(isinstance(p, Mapping) for p in parts.values()):
        raise ConfigError(
            f"the plug-in {path} does not say what it brings; end it with a mapping such as "
            'PLUGINS = {"enhancements": {"mine": MyConfig}}.'
        )
    if strange := sorted(set(parts) - set(KINDS)):
        raise ConfigError(
            f"the plug-in {path} brings '{strange[0]}', but its PLUGINS may hold "
            f"{', '.join(KINDS)}."
        )
    return parts


def _import(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no plug-in file {path}; check --plugin or {FILES}.")
    digest = sha256(str(path).encode()).hexdigest()[:8]
    name = f"segloom_plugin_{path.stem}_{digest}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"the plug-in {path} is no Python file; it must end in .py.")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the code of others may fail in any way
        del sys.modules[name]
        raise ConfigError(
            f"the plug-in {path} cannot be loaded: {_reason(error)}; correct the file."
        ) from error
    return module


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0].rstrip('.')}" if text else type(error).__name__
