"""Do class weights help? Train, measure and compare what ``study.yaml`` beside this file names.

    python benchmarks/studies/class_weights/study.py --data DIR --out lab/class_weights

Tables and pages go to a folder per data set beside this file. A study that was stopped goes on with
the same command.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from segloom import RunConfig, compare_runs, evaluate, load_run_config, train

HERE = Path(__file__).parent


def configure(options: dict[str, Any], kind: dict[str, Any], seed: int, run: Path) -> RunConfig:
    """Return the recipe folder with the options of a data set, a kind and a seed."""
    epochs = options["train"]["epochs"]
    shared = {"validate_every": epochs, "threads": 1, "tensorboard": False, "precision": "fp32"}
    config = load_run_config("folder", data_batch_size=8, loss=kind)
    return config.override(**options).override(train={**shared, "seed": seed, "out": run})


def finish(config: RunConfig, run: Path) -> Path:
    """Train a run and measure it on the test images, unless that was done."""
    if not (run / "eval" / "test" / "metrics.json").is_file():
        is_begun = (run / "config.yaml").is_file()
        train(config.override(train_resume=is_begun), show_progress=False)
        evaluate(run)
    return run


def main() -> None:
    """Train what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    plan = yaml.safe_load((HERE / "study.yaml").read_text(encoding="utf-8"))
    for name, options in plan["data_sets"].items():
        options["data"]["root"] = words.data.absolute() / name
        runs: dict[str, list[Path]] = {kind: [] for kind in plan["kinds"]}
        for seed, kind in product(plan["seeds"], plan["kinds"]):
            run = words.out.absolute() / name / f"{kind.replace(' ', '_')}-{seed}"
            runs[kind].append(finish(configure(options, plan["kinds"][kind], seed, run), run))
            print(f"{name}: {kind}, seed {seed} is measured", flush=True)
        compare_runs(runs, HERE / name, baseline="none", pictures=0)


if __name__ == "__main__":
    main()
