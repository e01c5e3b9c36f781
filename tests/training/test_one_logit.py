"""A network of one logit is trained, measured and used on data of two classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segloom.config import EvalConfig, LossConfig, ModelConfig
from segloom.enhancements import list_enhancements
from segloom.errors import ConfigError
from segloom.evaluation import evaluate
from segloom.inference import InferenceGraph, Predictor
from segloom.losses import build_losses
from segloom.models.build import build_model
from segloom.training import train
from segloom.training.step import TrainingStep


def test_a_run_of_one_logit_goes_from_images_to_metrics(tiny, squares):
    terms = {"bce": 1.0, "dice": 1.0}
    config = tiny(model__classes=1, loss__terms=terms, train__epochs=8)
    train(config)
    run = config.train.out
    predictor = Predictor.from_path(run)
    assert predictor.labels.classes == ("ground", "square")
    image = np.random.default_rng(0).integers(0, 256, (40, 33, 3), np.uint8)
    share = predictor.probabilities(image)
    assert share.shape == (2, 40, 33)
    np.testing.assert_allclose(share.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(predictor.label_map(image), share[1] > share[0])
    metrics = evaluate(run, EvalConfig(split="val", bootstrap=0, montages=1)).metrics
    assert metrics["scores"]["mIoU"] > 0.6  # one class everywhere gives less than 0.5
    assert metrics["regions"]["regions"][0]["name"] == "square"


def test_the_label_is_where_the_sigmoid_is_above_a_half():
    config = ModelConfig(architecture="fpn", encoder_name="tu-test_resnet", classes=1)
    model = build_model(config, 2).eval()
    assert model.shape.num_classes == 1
    image = torch.randint(0, 256, (1, 3, 48, 40), dtype=torch.uint8)
    with torch.inference_mode():
        z = model(model.normalize(image.float()))
        labels = InferenceGraph(model, "labels").eval()(image)
        probabilities = InferenceGraph(model, "probabilities").eval()(image)
    clear = (z[:, 0].abs() > 1e-4).numpy()
    expected = (z[:, 0].sigmoid() > 0.5).numpy()
    np.testing.assert_array_equal(labels.numpy()[clear], expected[clear])
    torch.testing.assert_close(probabilities[:, 1:], z.sigmoid(), rtol=1e-3, atol=1e-4)


def test_one_logit_is_for_two_classes_without_a_correction_of_each():
    config = ModelConfig(architecture="fpn", encoder_name="tu-test_resnet", classes=1)
    with pytest.raises(ConfigError, match=r"model\.classes is 1 but the data has 3 classes"):
        build_model(config, 3)
    attached = config.model_copy(update={"enhancements": ("afma",)})
    with pytest.raises(ConfigError, match="enhancement afma needs a channel per class"):
        build_model(attached, 2)


@pytest.mark.parametrize(
    "enhancement", ["se:place=skips", "dlinknet", "deep_supervision", "edge_supervision", "fam"]
)
def test_one_logit_learns_with_enhancements_that_leave_it_alone(enhancement):
    config = ModelConfig(
        architecture="fpn",
        encoder_name="tu-test_resnet",
        mode="binary",
        enhancements=(enhancement,),
    )
    model = build_model(config, 2)
    losses = build_losses(
        LossConfig(),
        auxiliary=model.loss_weights,
        known_enhancements=list_enhancements(),
        mode=model.mode,
    )
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    values = TrainingStep(model, losses)(image, torch.randint(0, 2, (2, 64, 64)))
    values["total"].backward()
    assert model(model.normalize(image.float())).shape == (2, 1, 64, 64)
    gradients = [p.grad for p in model.enhancements.parameters() if p.requires_grad]
    assert all(gradient is not None for gradient in gradients)
