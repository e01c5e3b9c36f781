"""Recipes and configuration files: YAML in, `RunConfig` out, and back.

A file may start from one other with ``extends: <recipe or path>``; that one extends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from segloom.config.problems import describe_problem
from segloom.config.run import RunConfig
from segloom.errors import ConfigError, UnknownNameError
from segloom.files import parse_yaml

__all__ = [
    "dump_config",
    "dump_data_options",
    "explain_invalid",
    "list_recipes",
    "load_run_config",
    "read_config",
    "read_values",
    "read_yaml",
]


def list_recipes() -> dict[str, Path]:
    """Packaged recipes: name to file."""
    folder = Path(str(resources.files("segloom.config") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_run_config(recipe: str | Path, **options: object) -> RunConfig:
    """Load a packaged recipe by name, or a YAML file by path.

    Args:
        recipe: Its name or path.
        options: Values that replace those of the recipe, see `RunConfig.override`.

    Raises:
        UnknownNameError: It is neither, or there is no such option.
        ConfigError: The file cannot be read, or an option in it is unknown or out of range; all
            such options are named at once.
    """
    recipes = list_recipes()
    path = recipes.get(str(recipe), Path(recipe))
    if str(recipe) not in recipes and path.suffix not in (".yaml", ".yml"):
        raise UnknownNameError("recipe", str(recipe), recipes)
    config = read_config(path)
    return config.override(**options) if options else config


def read_config(path: Path) -> RunConfig:
    """Read a configuration file; see `load_run_config`."""
    return read_values(_read_sections(path), path)


def read_values(values: Mapping[str, object], path: Path) -> RunConfig:
    """Make a configuration of the values that stand in a file; see `load_run_config`."""
    values = dict(values)
    base = values.pop("extends", None)
    if base is not None:
        base_path = list_recipes().get(str(base), path.parent / str(base))
        if base_path.suffix not in (".yaml", ".yml"):  # an error would quote any other file
            raise ConfigError(
                f"{path} extends {base}, which is neither a packaged recipe nor a .yaml file."
            )
        base_values = _read_sections(base_path)
        if "extends" in base_values:
            raise ConfigError(f"{base_path} extends another file itself; only one level is read.")
        values = _merge(base_values, values)
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise explain_invalid(error, str(path)) from error


def dump_config(config: RunConfig) -> str:
    """Write every option, defaults too, as YAML that `read_config` reads back to an equal value."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, width=100)
    return text


def dump_data_options(options: Mapping[str, object]) -> str:
    """Write options of `DataConfig` as lines of a configuration file that `read_config` reads.

    Args:
        options: JSON values by the option's name.
    """
    text: str = yaml.safe_dump(
        {"data": dict(options)}, default_flow_style=None, sort_keys=False, width=96
    )
    return text


def explain_invalid(error: ValidationError, source: str, *, section: str = "") -> ConfigError:
    """Turn pydantic's errors into one sentence per option; unknown names get the nearest one.

    Args:
        error: What a section refused.
        source: File or command line, for the message.
        section: Dotted name of the section that refused, if it was not the whole configuration.
    """
    lines = []
    for problem in error.errors():
        place = ".".join(str(part) for part in (*filter(None, [section]), *problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = _fields(RunConfig, [str(part) for part in problem["loc"][:-1]])
            unknown = UnknownNameError("option", str(problem["loc"][-1]), known)
            lines.append(f"{place}: {unknown}")
        else:
            lines.append(describe_problem(problem, place))
    return ConfigError(f"{source}: " + "; ".join(lines))


def _fields(section: type[BaseModel], place: list[str]) -> list[str]:
    for part in place:
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        section = annotation
    return list(section.model_fields)


def read_yaml(path: Path) -> object:
    """Read what a YAML file holds.

    Raises:
        ConfigError: It cannot be read, or is no YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.") from error


def _read_sections(path: Path) -> dict[str, object]:
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} must hold sections such as data: and model:; it holds {type(values).__name__}."
        )
    return values


def _merge(base: Mapping[str, object], top: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        # Losses are a sum: a file that names terms means those alone.
        if key != "terms" and isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged
