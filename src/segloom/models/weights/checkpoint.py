"""Saving and loading whole networks as a directory: weights, configuration and a model card.

    model.safetensors   every tensor, under SMP's names plus ``enhancements.*``
    config.json         SMP's own file, so that a network without enhancements opens with
                        ``segmentation_models_pytorch.from_pretrained``; what SMP does not know
                        stands under ``_segloom``, since SMP passes over names with an underscore
    README.md           the model card

Each file is replaced in one step and config.json comes last, so a directory with a config.json is
complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from segloom.errors import CheckpointError, ConfigError, describe_system_error
from segloom.files import atomic_path, parse_json, write_json, write_text
from segloom.images.pixels import PixelFormat
from segloom.models.adapters import merged_state
from segloom.models.architectures import find_architecture
from segloom.models.build import create_model
from segloom.models.model import SegmentationModel
from segloom.models.surgery import widen_first_weight
from segloom.models.weights.card import model_card
from segloom.models.weights.hub import fetch_model, hub_errors
from segloom.models.weights.pretrained import Normalization, expected_normalization
from segloom.run_directory import RunDirectory
from segloom.types import LabelSet
from segloom.weight_files import check_fit, read_state_dict, strip_prefix

__all__ = [
    "SavedModel",
    "from_pretrained",
    "load_tensors",
    "load_weights",
    "push_to_hub",
    "read_saved",
    "save_pretrained",
]

FORMAT_VERSION = 2
"""The newest that is read. Only networks of mode multilabel, which earlier programs would take for
multiclass, are written as 2; the others as 1."""
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class SavedModel:
    """What a model directory says about its network."""

    spec: dict[str, Any]
    """Arguments of `create_model`."""
    normalization: Normalization
    labels: LabelSet | None
    """Classes and palette, where they were saved."""
    metrics: Mapping[str, object]
    """Scores by name, as they were given when saving."""
    weights: Path
    """The weight file."""
    pixels: PixelFormat | None = None
    """How images become uint8; None for RGB of 8 bits."""


def save_pretrained(
    model: SegmentationModel,
    directory: Path | str,
    labels: LabelSet | None = None,
    metrics: Mapping[str, object] | None = None,
) -> None:
    """Write a network to a directory, over the files that an earlier one left there.

    Args:
        model: Any network of `create_model`.
        directory: Made if it does not exist.
        labels: Classes and palette of the data it was trained on.
        metrics: JSON values for the model card, for example ``{"mIoU": 0.62}``.

    Raises:
        CheckpointError: The directory cannot be written.
    """
    directory = Path(directory)
    spec = dict(model.spec)
    class_name = find_architecture(spec["architecture"]).class_name
    options = {key: value for key, value in spec.items() if key not in OWN_KEYS}
    mean, std = model.normalization
    config = {
        "_model_class": class_name,
        "encoder_name": spec["encoder_name"],
        "encoder_weights": None,
        "in_channels": spec["in_channels"],
        "classes": spec["classes"],
        **options,
        "_segloom": {
            "version": model.space.saved_since,
            "mode": model.mode,
            "enhancements": spec["enhancements"],
            "normalization": {"mean": _shortest(mean), "std": _shortest(std)},
            "labels": None if labels is None else _plain(labels),
            **({"pixels": model.pixels.to_dict()} if model.pixels else {}),
            "metrics": dict(metrics or {}),
        },
    }
    try:
        _write_weights(model, directory / "model.safetensors")
        write_text(directory / "README.md", model_card(model, labels, metrics or {}))
        write_json(directory / "config.json", config)
    except (OSError, SafetensorError) as error:
        reason = describe_system_error(error) or f"{error}."
        raise CheckpointError(f"cannot write a model to {directory}: {reason}") from error


def from_pretrained(source: Path | str, **changes: Any) -> SegmentationModel:
    """Load a network, in evaluation mode, on the CPU.

    Args:
        source: A directory that `save_pretrained` or SMP's ``save_pretrained`` wrote, a run (its
            best checkpoint is taken), or the name of such a model on a hub.
        **changes: Arguments of `create_model` to set differently, for example ``enhancements``
            for a network whose own enhancement was given as a module.

    Raises:
        CheckpointError: There is no such model, or its parts do not fit each other.
    """
    saved = read_saved(source)
    try:
        model = create_model(**{**saved.spec, **changes, "encoder_weights": None})
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"the network of {source} cannot be built: {error}") from error
    load_tensors(model, read_state_dict(saved.weights), str(saved.weights))
    model.set_normalization(*saved.normalization)
    model.pixels = saved.pixels
    return model.eval()


def read_saved(source: Path | str) -> SavedModel:
    """Read what a model directory, a run or a hub name says, without building the network.

    Raises:
        CheckpointError: There is no such model, or its config.json cannot be used.
    """
    path = Path(source)
    if path.is_dir():
        directory = RunDirectory.model_directory(path)
    elif path.exists():
        raise CheckpointError(
            f"{source} is a file; from_pretrained takes a folder. For a state dict, build the "
            "network with create_model and use load_weights, or run `segloom convert`."
        )
    elif _is_hub_name(str(source)):
        directory = fetch_model(str(source))
    else:
        raise CheckpointError(f"there is no model directory {source}.")
    weights = next(
        (directory / name for name in WEIGHT_FILES if (directory / name).is_file()), None
    )
    if weights is None:
        raise CheckpointError(f"{directory} has no weights; it needs a model.safetensors.")
    path = directory / "config.json"
    try:
        config = parse_json(path.read_text(encoding="utf-8"))
        return _parse_config(config, weights)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is not the configuration of a segmentation model "
            f"({type(error).__name__}: {error}); save the model again."
        ) from error


def load_weights(model: SegmentationModel, file: Path | str) -> None:
    """Fill a network from a state dict of segloom or plain SMP (.safetensors, .pth).

    A plain SMP file leaves the enhancements of ``model`` as they are; everything else must match.
    What DDP, torch.compile, averaging or a LightningModule put before the names is taken off.

    Raises:
        CheckpointError: The file cannot be read or does not fit.
    """
    load_tensors(model, read_state_dict(Path(file)), str(file), allow_new=True)


def push_to_hub(
    model: SegmentationModel,
    repo_id: str,
    *,
    labels: LabelSet | None = None,
    metrics: Mapping[str, object] | None = None,
    private: bool = False,
    token: str | None = None,
) -> str:
    """Upload a network to a hub, making the repository if needed.

    Args:
        model: Any network of `create_model`.
        repo_id: ``owner/name``.
        labels: Classes and palette of the data it was trained on.
        metrics: JSON values for the model card.
        private: Whether a new repository is private.
        token: Access token; None takes the one of ``hf auth login``.

    Returns:
        Address of the commit.

    Raises:
        CheckpointError: The hub refuses or is out of reach.
    """
    from huggingface_hub import HfApi, constants

    mend = "check the name, the access token (`hf auth login`) and the connection"
    with TemporaryDirectory() as folder:
        save_pretrained(model, folder, labels, metrics)
        with hub_errors(f"{repo_id} could not be uploaded", mend):
            hub = HfApi(endpoint=constants.ENDPOINT, token=token)
            hub.create_repo(repo_id, private=private, exist_ok=True)
            commit = hub.upload_folder(repo_id=repo_id, folder_path=folder)
    return str(commit.commit_url)


OWN_KEYS = {
    "architecture",
    "encoder_name",
    "encoder_weights",
    "in_channels",
    "classes",
    "mode",
    "enhancements",
}
"""Arguments of `create_model` that are no options of the architecture."""


def _plain(labels: LabelSet) -> dict[str, object]:
    """Return the labels as JSON values; whether they overlap is the network's mode."""
    values = asdict(labels)
    del values["is_multilabel"]
    return values


def _shortest(values: tuple[float, ...]) -> list[float]:
    """Write float32 values with no more digits than it takes to read them back bit-equal."""
    return [float(str(np.float32(value))) for value in values]


def _is_hub_name(text: str) -> bool:
    parts = text.split("/")
    return len(parts) == 2 and all(part and not part.startswith((".", "~")) for part in parts)


def _parse_config(config: dict[str, Any], weights: Path) -> SavedModel:
    own = config.get("_segloom", {})
    if own.get("version", FORMAT_VERSION) > FORMAT_VERSION:
        raise CheckpointError(
            f"{weights.parent} was written by a newer segloom (format {own['version']}); "
            "update segloom."
        )
    if config.get("aux_params"):
        raise CheckpointError(
            f"{weights.parent} has a classification head (aux_params), which segloom does not run; "
            "save it from SMP without one."
        )
    options = {
        key: value
        for key, value in config.items()
        if not key.startswith("_") and key not in IGNORED_OPTIONS
    }
    normalization = own.get("normalization")
    labels = own.get("labels")
    channels = int(options.get("in_channels", 3))
    return SavedModel(
        spec={
            "architecture": config["_model_class"],
            **options,
            "mode": str(own.get("mode", "auto")),
            "enhancements": own.get("enhancements", []),
        },
        normalization=Normalization(tuple(normalization["mean"]), tuple(normalization["std"]))
        if normalization
        else expected_normalization(options["encoder_name"]).for_channels(channels),
        labels=None if labels is None else _read_labels(labels, str(own.get("mode"))),
        metrics=own.get("metrics", {}),
        weights=weights,
        pixels=PixelFormat.from_dict(own["pixels"]) if own.get("pixels") else None,
    )


def _read_labels(values: dict[str, Any], mode: str) -> LabelSet:
    """Undo `_plain`."""
    return LabelSet(
        tuple(values["classes"]),
        tuple((int(red), int(green), int(blue)) for red, green, blue in values["palette"]),
        values["ignore_index"],
        is_multilabel=mode == "multilabel",
    )


IGNORED_OPTIONS = {"encoder_weights", "activation", "aux_params"}
"""SMP's arguments that do not change the network whose logits are wanted."""


def load_tensors(
    model: SegmentationModel, tensors: Mapping[str, Tensor], source: str, *, allow_new: bool = False
) -> None:
    """Fill a network from tensors under our names or SMP's, completely.

    Args:
        model: The network.
        tensors: By name; a classification head of SMP is passed over.
        source: Where they come from, for the message.
        allow_new: Whether the enhancements may be missing; they then stay as they are, and the
            channels that they add to the image get weights of zero.

    Raises:
        CheckpointError: Something is missing, unknown or of another shape.
    """
    own = model.state_dict()
    needed = [
        name
        for name in own
        if not name.endswith("num_batches_tracked")
        and not (allow_new and name.startswith("enhancements."))
    ]
    tensors = strip_prefix(tensors, needed, source, rename=_current_key)
    tensors = {_current_key(name): value for name, value in tensors.items()}
    given = {k: v for k, v in tensors.items() if not k.startswith("classification_head.")}
    if allow_new:
        given = widen_first_weight(given, model.encoder, model.shape.image_channels)
    check_fit(f"{source} does not fit the network", own, given, needed)
    model.load_state_dict(given, strict=False)


def _current_key(name: str) -> str:
    """Bring names of SMP before 0.4 (DeepLabV3's decoder was a list) to today's."""
    for old, new in (("0", "aspp"), ("1", "conv"), ("2", "bn")):
        if name.startswith(f"decoder.{old}."):
            return f"decoder.{new}.{name.removeprefix(f'decoder.{old}.')}"
    return name


def _write_weights(model: SegmentationModel, path: Path) -> None:
    # Clones: safetensors refuses names that share memory.
    tensors = {
        name: value.detach().cpu().clone().contiguous()
        for name, value in merged_state(model).items()
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
