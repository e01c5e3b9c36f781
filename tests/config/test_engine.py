"""Options of engines: which engine knows which, and values that none takes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from segloom.config.engine import ENGINES, EngineOptions, check_engine
from segloom.errors import ConfigError

VALUES = {
    "address": "auto",
    "cpus": 4,
    "gpus": 1.0,
    "memory": 16.0,
    "scratch": "/scratch",
    "partition": "gpu",
    "hours": 2.0,
    "cluster": "local",
}


@pytest.mark.parametrize("engine", ["local", "inline", "ray", "slurm"])
def test_an_engine_without_options_is_fine(engine):
    check_engine(engine, EngineOptions(), None)


@pytest.mark.parametrize("engine", ["local", "inline", "ray", "slurm"])
@pytest.mark.parametrize("name", VALUES)
def test_an_option_belongs_to_its_engines(engine, name):
    options = EngineOptions(**{name: VALUES[name]})
    if engine in ENGINES[name]:
        check_engine(engine, options, None)
        return
    owners = " or ".join(ENGINES[name])
    with pytest.raises(ConfigError, match=rf"^--{name} belongs to --engine {owners}; leave it out"):
        check_engine(engine, options, None)


def test_workers_belong_to_this_machine_and_to_slurm():
    check_engine("local", EngineOptions(), 4)
    check_engine("slurm", EngineOptions(), 4)
    with pytest.raises(ConfigError, match="--workers belongs to --engine local or slurm"):
        check_engine("ray", EngineOptions(), 4)


def test_a_part_of_a_gpu_is_for_ray_alone():
    check_engine("ray", EngineOptions(gpus=0.5), None)
    check_engine("slurm", EngineOptions(gpus=2), None)
    with pytest.raises(ConfigError, match=r"--gpus 1\.5: Slurm gives whole GPUs"):
        check_engine("slurm", EngineOptions(gpus=1.5), None)


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:1", "ray://head:10001", None])
def test_addresses_of_a_cluster(address):
    assert EngineOptions(address=address).address == address


@pytest.mark.parametrize("address", ["head", "http://head:1", "head:", "a b:1", "head:123456", ""])
def test_other_addresses_are_refused(address):
    with pytest.raises(ValidationError, match="is auto, HOST:PORT or ray://HOST:PORT"):
        EngineOptions(address=address)


@pytest.mark.parametrize("options", [{"cpus": 0}, {"gpus": -1}, {"memory": 0}, {"hours": 0}])
def test_numbers_are_positive(options):
    with pytest.raises(ValidationError, match="greater than"):
        EngineOptions(**options)
