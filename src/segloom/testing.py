"""What every enhancement must do, for the tests of other packages: the checks of segloom's own.

def test_it_works_everywhere():
check_enhancement(MyConfig(level=2))
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.export import Dim

from segloom.enhancements import Enhancement, EnhancementConfig, known_enhancements
from segloom.errors import ConfigError
from segloom.models import (
    ARCHITECTURES,
    SegmentationModel,
    create_model,
    from_pretrained,
    save_pretrained,
)
from segloom.models.enhancement_names import EnhancementLike
from segloom.types import Prediction

__all__ = [
    "ON_TRANSFORMERS",
    "check_compiles",
    "check_copies",
    "check_enhancement",
    "check_exports",
    "check_keys",
    "check_learns",
    "check_saves",
    "small_encoder",
]

IMAGE = (2, 3, 160, 192)
ON_TRANSFORMERS = ("dpt", "eomt", "linear")
"""Architectures that are tested on a plain vision transformer."""
CLASSES = 3


def check_enhancement(
    config: EnhancementConfig | str,
    *,
    architectures: Sequence[str] | None = None,
    is_thorough: bool = True,
) -> dict[str, str]:
    """Check an enhancement with one architecture after the other, on tiny encoders.

    Each network must keep the size of an odd image, keep the plain network's weights under their
    names, learn in every parameter, be copied and saved, compile without a break in the graph, and
    be exported and run at another size.

    Args:
        config: Its options, or a text such as ``"eca:level=2"``.
        architectures: With which; None takes all of ours.
        is_thorough: Compile and export too, which takes seconds each.

    Returns:
        Every architecture with why it does not fit, empty where it does.

    Raises:
        AssertionError: A check fails, or no architecture fits; it names both.
    """
    refusals: dict[str, str] = {}
    for architecture in architectures or list(ARCHITECTURES):

        def build(*parts: EnhancementLike, architecture: str = architecture) -> SegmentationModel:
            torch.manual_seed(0)
            return create_model(
                architecture,
                encoder_name=small_encoder(architecture),
                classes=CLASSES,
                enhancements=[*parts],
            )

        try:
            build(config)
        except ConfigError as error:
            refusals[architecture] = str(error)
            continue
        refusals[architecture] = ""
        _check_network(partial(build, config), build(), architecture, is_thorough)
    assert "" in refusals.values(), f"it fits no architecture: {refusals}"
    return refusals


def _check_network(
    build: Callable[[], SegmentationModel],
    plain: SegmentationModel,
    architecture: str,
    is_thorough: bool,
) -> None:
    """Run every check on a network of its own, and say which one failed."""
    checks: list[tuple[str, Callable[[SegmentationModel], None]]] = [
        ("keep the plain network's weights", lambda model: check_keys(model, plain)),
        ("keep the size and learn", check_learns),
        ("be copied", check_copies),
        ("be saved", check_saves),
        *([("compile", check_compiles), ("be exported", check_exports)] if is_thorough else []),
    ]
    for what, check in checks:
        try:
            check(build())
        except Exception as error:  # whatever the module does, its author hears where
            raise AssertionError(f"with {architecture} it does not {what}: {error}") from error


def small_encoder(architecture: str) -> str:
    """Name a tiny encoder that an architecture takes."""
    return "tu-test_vit" if architecture in ON_TRANSFORMERS else "tu-test_resnet"


def check_keys(model: SegmentationModel, plain: SegmentationModel) -> None:
    """Check that a plain network's weights fit, and that all others are the enhancements'.

    Raises:
        AssertionError: They are not.
    """
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected, f"weights of the plain network have no place: {unexpected}"
    strange = [key for key in missing if not key.startswith("enhancements.")]
    assert not strange, f"weights outside enhancements.* are new: {strange}"


def check_learns(model: SegmentationModel) -> None:
    """Check size, finite losses, and that a gradient reaches every parameter.

    Raises:
        AssertionError: They are not as they should be.
    """
    image = torch.randn(2, 3, 130, 171)
    target = torch.randint(0, CLASSES, (2, 130, 171))
    target[:, :20] = 255
    prediction = model.train().run(image)
    expected = (2, CLASSES, 130, 171)
    assert prediction.logits.shape == expected, f"logits {tuple(prediction.logits.shape)}"
    losses = model.auxiliary_losses(prediction, target)
    loss = torch.nn.functional.cross_entropy(prediction.logits, target, ignore_index=255)
    loss = loss + sum(losses.values())
    for signal_name, logits in _auxiliary(model, prediction).items():
        loss = loss + logits.mean()
        assert torch.isfinite(logits).all(), f"auxiliary logits of {signal_name} are not finite"
    assert torch.isfinite(loss), f"the loss is {float(loss.detach())}"
    loss.backward()  # type: ignore[no-untyped-call]
    _check_gradients(model)


def _check_gradients(model: SegmentationModel) -> None:
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    silent = [name for name, parameter in learning.items() if parameter.grad is None]
    assert not silent, f"no gradient reaches {silent}"
    wild = [n for n, p in learning.items() if p.grad is not None and not p.grad.isfinite().all()]
    assert not wild, f"the gradient is not finite in {wild}"


def _auxiliary(model: SegmentationModel, prediction: Prediction) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, part in model.enhancements.items():
        assert isinstance(part, Enhancement), f"{name} is no Enhancement"
        for place, logits in enumerate(part.auxiliary_logits(prediction.signals[name])):
            found[f"{name} {place}"] = logits
    return found


def check_copies(model: SegmentationModel, image: Tensor | None = None) -> None:
    """Check that a deep copy answers alike, and goes on when the original's weights are zeroed.

    Raises:
        AssertionError: It does not.
    """
    image = torch.randn(IMAGE) if image is None else image
    twin = copy.deepcopy(model.eval())
    with torch.no_grad():
        expected = model(image)
        for parameter in model.parameters():
            parameter.zero_()
        assert torch.equal(twin(image), expected), "a copy answers otherwise"
        assert not torch.equal(model(image), expected), "the weights do not matter"


def check_saves(model: SegmentationModel) -> None:
    """Check that a saved network opens again and answers alike.

    An enhancement whose name no plug-in brings is left out, since only names are saved.

    Raises:
        AssertionError: It does not.
    """
    known = known_enhancements()
    if any(name not in known for part in model.spec["enhancements"] for name in part):
        return
    image = torch.randn(IMAGE)
    with TemporaryDirectory() as folder, torch.no_grad():
        save_pretrained(model.eval(), folder)
        again = from_pretrained(folder).eval()
        assert torch.equal(again(image), model(image)), "opened again, it answers otherwise"


def check_compiles(model: SegmentationModel) -> None:
    """Check that the graph is traced without a break.

    Raises:
        AssertionError: The compiled network answers otherwise.
    """
    compiled = torch.compile(model.eval(), backend="eager", fullgraph=True)
    image = torch.randn(IMAGE)
    with torch.no_grad():
        assert torch.allclose(compiled(image), model(image), atol=1e-5), "compiled, it differs"


def check_exports(model: SegmentationModel) -> None:
    """Check the exported program at another size, or where sizes are fixed with more images.

    Raises:
        AssertionError: It answers otherwise.
    """
    # A vision transformer's position embedding is resampled once.
    is_static = model.spec["architecture"] in ON_TRANSFORMERS
    sizes: dict[int, object] = {0: Dim.DYNAMIC}
    sizes |= {} if is_static else {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = torch.export.export(
        model.eval(), (torch.randn(IMAGE),), dynamic_shapes={"image": sizes}, strict=False
    )
    other = torch.randn(3, *IMAGE[1:]) if is_static else torch.randn(1, 3, 197, 131)
    with torch.no_grad():
        alike = torch.allclose(program.module()(other), model(other), atol=1e-4)
    assert alike, "exported, it differs at another size"
