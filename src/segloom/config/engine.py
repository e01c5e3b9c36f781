"""Options of the places where a comparison's cells are done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from segloom.config.base import Section
from segloom.errors import ConfigError

__all__ = ["Engine", "EngineOptions", "check_engine"]

Engine = Literal["local", "inline", "ray", "slurm"]

ENGINES = {
    "workers": ("local", "slurm"),
    "address": ("ray",),
    "cpus": ("ray", "slurm"),
    "gpus": ("ray", "slurm"),
    "memory": ("ray", "slurm"),
    "scratch": ("ray",),
    "partition": ("slurm",),
    "hours": ("slurm",),
    "cluster": ("slurm",),
}
"""Engines that know an option."""


class EngineOptions(Section):
    """What a cell asks of a cluster; None leaves it to the engine."""

    address: str | None = None
    """Ray cluster: auto (the one of this machine), HOST:PORT or ray://HOST:PORT; None starts one on
    this machine, for this comparison alone."""
    cpus: int | None = Field(None, ge=1)
    """Cores of a cell, on Ray and under Slurm; None is 1."""
    gpus: float | None = Field(None, ge=0)
    """GPUs of a cell; a part of one, such as 0.5, on Ray alone. None is 1 on a Ray cluster with
    GPUs, else 0."""
    memory: float | None = Field(None, gt=0)
    """Gibibytes of main memory of a cell, on Ray and under Slurm."""
    scratch: Path | None = None
    """Folder on every Ray node where its cells are trained; None is in its temporary folder."""
    partition: str | None = None
    """Slurm partition."""
    hours: float | None = Field(None, gt=0)
    """Time limit of a Slurm job, None is 24; a cell that needs more is queued again and goes on."""
    cluster: Literal["slurm", "local"] | None = None
    """local runs the Slurm jobs as processes of this machine, to try them out."""

    @field_validator("address")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value not in (None, "auto") and not re.fullmatch(r"(ray://)?[^\s:/]+:\d{1,5}", value):
            raise ValueError("a Ray cluster is auto, HOST:PORT or ray://HOST:PORT")
        return value


def check_engine(engine: Engine, options: EngineOptions, workers: int | None) -> None:
    """Refuse an option that the engine does not know.

    Raises:
        ConfigError: It belongs to another engine, or has no such value there.
    """
    given = {**options.model_dump(), "workers": workers}
    for name, engines in ENGINES.items():
        if given[name] is not None and engine not in engines:
            raise ConfigError(
                f"--{name} belongs to --engine {' or '.join(engines)}; leave it out with "
                f"--engine {engine}."
            )
    if engine == "slurm" and (options.gpus or 0) % 1:
        raise ConfigError(f"--gpus {options.gpus}: Slurm gives whole GPUs, such as --gpus 1.")
