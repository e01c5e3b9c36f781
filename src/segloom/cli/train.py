"""``segloom train RECIPE``: train a network from a packaged recipe or a YAML file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from segloom.cli.options import parse
from segloom.config import RunConfig
from segloom.config.effects import idle_options
from segloom.config.load import dump_config, list_recipes, load_run_config
from segloom.config.model import parse_enhancement
from segloom.config.overrides import SHORT_NAMES
from segloom.config.training import RateTestConfig
from segloom.data.readers import DATASETS, find_data_set, has_split, reader_names
from segloom.data.source import data_root
from segloom.data_check.training import check_before_training
from segloom.enhancements import known_enhancements
from segloom.errors import ConfigError, UnknownNameError
from segloom.models.architectures import find_architecture
from segloom.report import write_rate_test
from segloom.training.directory import default_run_directory
from segloom.training.from_data import choose_options
from segloom.training.opening import describe_data, settle_layout

if TYPE_CHECKING:
    from segloom.training.fit import RunResult

__all__ = ["check_names", "check_root", "resolve", "run"]

SHORT = {
    f"--{short.replace('_', '-')}": f"--{full.replace('_', '-')}"
    for short, full in SHORT_NAMES.items()
}
"""Short form to full name of the options that most trainings set."""

USAGE = """\
usage: segloom train RECIPE [OPTION VALUE ...] [--print-config] [--json]
       segloom train RECIPE --find-lr [--find-lr.steps N] [--find-lr.lowest LR]
               [--find-lr.highest LR]

  RECIPE          one of {recipes}, or a YAML file (a run's config.yaml too)
  --print-config  print the whole resolved configuration and stop
  --find-lr       train a few steps at rising learning rates, say where the loss falls
                  fastest, and stop
  --json          print the result as JSON
  --help-all      show every option, with its default

The options that most trainings set; each has a full name, as in a YAML file:

  --root DIR            data.root: folder of the data set
  --arch NAME           model.architecture: `segloom list archs`
  --encoder NAME        model.encoder_name: `segloom list encoders`
  --enhancements NAME   model.enhancements: `segloom list enhancements`; several are allowed
  --license permissive  model.license: refuse weights under other licences, see
                        `segloom list encoders --details`
  --epochs N            train.epochs: passes over the training images
  --batch-size N        data.batch_size: images per optimiser step
  --crop H W            data.crop: height and width of a training crop in pixels
  --lr RATE             optim.lr: learning rate of the decoder
  --out DIR             train.out: run folder; --train.resume goes on with it
  --seed N              train.seed: of weights, order and augmentation
"""


@dataclass
class RateTestOptions:
    """Options of ``--find-lr``."""

    find_lr: RateTestConfig = field(default_factory=RateTestConfig)


def run(words: Sequence[str]) -> int:
    """Train, or print the configuration; 130 if a signal stopped the training."""
    words = [_full_name(word) for word in words]
    prints_config, prints_json = _take(words, "--print-config"), _take(words, "--json")
    rate_words = _take_rate_words(words)
    if not words or {"-h", "--help", "--help-all"} & set(words):
        words = _help(words)
        if not words:
            return 0
    config = resolve(words)
    rate_test = _read_rate_test(rate_words, config) if rate_words is not None else None
    check_names(config)
    if prints_config:
        print(dump_config(config), end="")
        return 0
    config = _prepare(config)
    if rate_test is not None:
        return _find_rate(config, rate_test, prints_json=prints_json)
    from segloom.training import TrainingStopped, is_first_process, train

    try:
        result = train(config, show_progress=True)
    except TrainingStopped as stopped:
        print(f"segloom: {stopped}", file=sys.stderr)
        return 130
    if is_first_process():
        _print_result(config, result, prints_json=prints_json)
    return 0


def _help(words: Sequence[str]) -> list[str]:
    """Print the usage; with ``--help-all`` return words that print every option besides."""
    print(USAGE.format(recipes=", ".join(list_recipes())))
    if not words:
        raise ConfigError("name a recipe, for example `segloom train demo`.")
    if "--help-all" not in words:
        return []
    return ["--help" if word == "--help-all" else word for word in words]


def _prepare(config: RunConfig) -> RunConfig:
    """Say what the options do and, unless a run is gone on with, settle what the data decides."""
    for sentence in idle_options(config):
        _say(f"note: {sentence}")
    if config.train.resume:  # a finished run needs no data to say so
        return config
    check_root(config)
    config = settle_layout(config, _say)
    _say(describe_data(config))
    config = choose_options(config, _say)
    check_before_training(config.data)
    return config


def _print_result(config: RunConfig, result: RunResult, *, prints_json: bool) -> None:
    if prints_json:
        print(json.dumps({**asdict(result), "path": str(result.path)}))
        return
    state = "was finished already" if result.was_finished else "is trained"
    score = "-" if result.miou is None else f"{result.miou:.4f} (epoch {result.best_epoch})"
    print(f"{result.path} {state}: {result.epochs} epochs, validation mIoU {score}")
    split = "" if has_split(config.data, "test") else " --split val"
    print(f"next: segloom eval {result.path}{split}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _full_name(word: str) -> str:
    """Return the full name of a short option, ``--epochs=3`` too; other words as they are."""
    name, separator, value = word.partition("=")
    return f"{SHORT.get(name, name)}{separator}{value}" if name in SHORT else word


def resolve(words: Sequence[str]) -> RunConfig:
    """Load the recipe that the first word names and apply the options after it.

    Raises:
        UnknownNameError: There is no such recipe.
        ConfigError: An option is out of range, or the name is that of a reader without a recipe.
    """
    if words[0] in ("-h", "--help"):
        return parse(RunConfig, words, verb="train RECIPE", default=RunConfig())
    recipe, *options = words
    try:
        loaded = load_run_config(recipe)
    except UnknownNameError:
        from segloom.data.readers import find_data_set, reader_names

        if recipe not in reader_names():
            raise
        raise ConfigError(
            f"{recipe} is a reader of data and no recipe; write "
            f"`segloom train {find_data_set(recipe).default_recipe} --data.name {recipe} ...`."
        ) from None
    if _take_no_stages(options):
        train = loaded.train.model_copy(update={"stages": ()})
        loaded = loaded.model_copy(update={"train": train})
    config = parse(RunConfig, options, verb=f"train {recipe}", default=loaded)
    if config.train.out is None:
        out = default_run_directory(Path(recipe).stem, config)
        train_config = config.train.model_copy(update={"out": out})
        config = config.model_copy(update={"train": train_config})
    return config


def _take_no_stages(words: list[str]) -> bool:
    """Remove ``--train.stages none``, which trains as if the recipe had no stages."""
    for place, word in enumerate(words):
        name, separator, value = word.removeprefix("--").partition("=")
        if name == "train.stages":
            values = [value] if separator else words[place + 1 : place + 2]
            if values not in (["none"], ["None"], ["[]"]):
                raise ConfigError(
                    "--train.stages takes `none`; a stage is changed by its number, as in "
                    "--train.stages.0.crop 256 256, and others are added in a YAML file."
                )
            del words[place : place + (1 if separator else 2)]
            return True
    return False


def check_names(config: RunConfig) -> None:
    """Refuse names that do not exist, before torch is loaded, which takes seconds."""
    find_architecture(config.model.architecture)
    enhancements = [parse_enhancement(text)[0] for text in config.model.enhancements]
    named = [("data set", [config.data.name], reader_names())]
    for kind, names, known in (*named, ("enhancement", enhancements, known_enhancements())):
        for name in names:
            if name not in known:
                raise UnknownNameError(kind, name, known)


def check_root(config: RunConfig) -> None:
    """Refuse a missing data root, before torch is loaded too."""
    if config.data.name in DATASETS and find_data_set(config.data.name).needs_root:
        data_root(config.data)


def _take_rate_words(words: list[str]) -> list[str] | None:
    """Remove ``--find-lr`` and its options; None if there was none of them."""
    was_there = _take(words, "--find-lr")
    taken: list[str] = []
    rest: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        is_value = before.startswith("--find-lr.") and not word.startswith("-")
        target = taken if word.startswith("--find-lr.") or is_value else rest
        target.append(word)
    words[:] = rest
    return taken if taken or was_there else None


def _read_rate_test(words: list[str], config: RunConfig) -> RateTestConfig:
    if config.train.resume:
        raise ConfigError("--find-lr begins with fresh weights; leave train.resume out.")
    return parse(RateTestOptions, words, verb="train RECIPE --find-lr").find_lr


def _find_rate(config: RunConfig, test: RateTestConfig, *, prints_json: bool) -> int:
    """Test learning rates, draw what came of it and print the suggestion."""
    from segloom.training.find_rate import find_rate

    found = find_rate(config, test.steps, test.lowest, test.highest, show_progress=True)
    folder = config.train.out or Path()
    paths = write_rate_test(folder, found.rates, found.losses, found.smoothed, found.suggestion)
    files = " and ".join(str(path) for path in paths)
    if prints_json:
        print(json.dumps({**asdict(found), "files": [str(path) for path in paths]}))
    elif found.suggestion is None:
        print(
            f"no suggestion: the loss does not fall clearly between {found.rates[0]:.1e} and "
            f"{found.rates[-1]:.1e}; try more --find-lr.steps or other rates (see {files})"
        )
    else:
        print(
            f"the loss falls fastest with --optim.lr {found.suggestion:.1e}, a starting point and "
            f"no result (see {files})"
        )
    return 0


def _take(words: list[str], flag: str) -> bool:
    """Remove a flag and say whether it was there."""
    was_there = flag in words
    words[:] = [word for word in words if word != flag]
    return was_there
