"""CamVid for real: Unet as it is, with AFMA and with CELT, trained and tested alike.

    python benchmarks/camvid.py --root DIR
    python benchmarks/camvid.py --root DIR --config benchmarks/camvid_20_epochs.yaml

DIR is CamVid in the SegNet layout. Each cell trains by the packaged recipe and is tested on the 233
images; a cell that is done is not done again, one that was stopped goes on. Writes
``results/camvid.json``, or the name of the YAML file (scores, intervals, configuration, machine),
and prints the table; ``--cells unet`` leaves the others out. One training each: the intervals say
what the choice of test images does, not what another seed would.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from measure import write_result

from segloom import RunConfig, evaluate, load_run_config, train, write_report
from segloom.run_directory import RunDirectory

CELLS = {"unet": (), "unet + AFMA": ("afma",), "unet + CELT": ("celt",)}
SMALL = "< 256 px"


def main() -> int:
    """Train and test every cell, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="CamVid, SegNet layout")
    parser.add_argument("--runs", type=Path, default=Path("runs/camvid"))
    parser.add_argument("--config", default="camvid", help="recipe or YAML file")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--encoder-name")
    parser.add_argument("--encoder-weights")
    options = parser.parse_args()
    rows = {}
    for name in options.cells:
        config = configure(options, CELLS[name])
        run = config.train.out
        assert run is not None
        print(f"{name}: {run}", flush=True)
        train(config, show_progress=True)
        metrics = evaluate(run, config.eval).metrics
        write_report(run, config.eval.split)
        rows[name] = {
            "scores": metrics["scores"],
            "intervals": metrics["intervals"],
            "per_class": metrics["per_class"],
            "size": metrics["size"],
            "boundary": metrics["boundary"],
            "num_parameters": metrics["model"]["num_parameters"],
            "config": shown(config),
        }
        print(table(rows), flush=True)
    path = write_result(
        Path(options.config).stem, {"num_images": metrics["num_images"], "rows": rows}
    )
    print(f"written to {path}")
    return 0


def configure(options: argparse.Namespace, enhancements: tuple[str, ...]) -> RunConfig:
    """Take the recipe and change what the command line names."""
    config = load_run_config(options.config)
    run = options.runs / "-".join(("unet", *enhancements))
    model = {
        "enhancements": enhancements,
        "encoder_name": options.encoder_name or config.model.encoder_name,
        "encoder_weights": options.encoder_weights or config.model.encoder_weights,
    }
    training = {
        "out": run,
        "resume": RunDirectory(run).trainer_state.is_file(),
        "epochs": options.epochs or config.train.epochs,
    }
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"root": options.root}),
            "model": config.model.model_copy(update=model),
            "train": config.train.model_copy(update=training),
        }
    )


def shown(config: RunConfig) -> dict[str, Any]:
    """The configuration without the places of this machine."""
    places = {"data": {"root", "cache_dir"}, "train": {"out", "resume"}}
    values = config.model_dump(mode="json", exclude=places)
    values["model"]["encoder_weights"] = Path(config.model.encoder_weights or "none").name
    return values


def table(rows: dict[str, Any]) -> str:
    """Lay the cells out as Markdown, in per cent."""
    lines = [
        f"| network | parameters | mIoU | 95 % interval | objects {SMALL}: IoU | bIoU | bF |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        low, high = row["intervals"]["mIoU"]
        small = next(b for b in row["size"]["buckets"] if b["name"] == SMALL)
        edge = row["boundary"]["tolerances"][0]
        lines.append(
            f"| {name} | {row['num_parameters'] / 1e6:.2f} M | {row['scores']['mIoU']:.1%} | "
            f"{low:.1%} to {high:.1%} | {small['IoU']:.1%} | {edge['bIoU']:.1%} | "
            f"{edge['bF']:.1%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
