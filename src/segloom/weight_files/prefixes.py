"""Taking off what wrappers of a network put before the names of its tensors.

``module.`` is of DataParallel, DDP and averaged models, ``_orig_mod.`` of torch.compile,
``model.`` or ``net.`` of a LightningModule, ``model.encoder.`` of an encoder inside a network; they
nest in any order. A prefix is not looked up in a list: it is one under which every name that is
needed is found, and it is taken off if it is the only one. Tensors without it (a loss, a metric, a
teacher) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from torch import Tensor

from segloom.errors import CheckpointError

__all__ = ["strip_prefix", "without_compile"]

COMPILED = "_orig_mod."


def without_compile(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take ``_orig_mod.`` out of all names, wherever a compiled module was."""
    return {name.replace(COMPILED, ""): value for name, value in tensors.items()}


def strip_prefix(
    tensors: Mapping[str, Tensor],
    needed: Collection[str],
    source: str,
    *,
    rename: Callable[[str], str] = lambda name: name,
) -> dict[str, Tensor]:
    """Take off the prefix under which all needed names are found.

    Args:
        tensors: By name.
        needed: Names that the network cannot do without.
        source: Where the tensors come from, for the message.
        rename: Brings a name without its prefix to the form of ``needed``.

    Returns:
        The tensors under the prefix, without it, under their own names; all tensors, unchanged, if
        they need none or no prefix fits.

    Raises:
        CheckpointError: Several prefixes fit, so the file holds several networks.
    """
    wanted = set(needed)
    if not wanted or wanted <= {rename(name) for name in tensors}:
        return dict(tensors)
    found = _readings(tensors, wanted, rename)
    fits = {prefix: names for prefix, names in found.items() if names.keys() == wanted}
    # What is taken out of the names may end a prefix: then two of them are the same reading.
    different = {frozenset(fits[prefix].items()): prefix for prefix in sorted(fits, key=len)}
    if len(different) > 1:
        raise CheckpointError(
            f"{source} holds several networks that fit, under {' and '.join(different.values())}; "
            "save the one that is meant alone."
        )
    for prefix in different.values():
        return {
            name.removeprefix(prefix).replace(COMPILED, ""): value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
    return dict(tensors)


def _readings(
    names: Iterable[str], wanted: Collection[str], rename: Callable[[str], str]
) -> dict[str, dict[str, str]]:
    """Map every prefix to the wanted names that stand behind it, and these to the whole names."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        for place in (0, *(place + 1 for place, letter in enumerate(name) if letter == ".")):
            if (own := rename(name[place:].replace(COMPILED, ""))) in wanted:
                found.setdefault(name[:place], {})[own] = name
    return found
