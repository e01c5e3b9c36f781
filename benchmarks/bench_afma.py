"""A training step with AFMA against the dense form, in time and in peak memory.

    python benchmarks/bench_afma.py            # about ten minutes; writes results/afma.json
    python benchmarks/bench_afma.py --levels 1 --rounds 3

Both sides train the same network (Unet on ResNet-18, 12 classes, 480x640) with the same weights:
one step is forward, weighted cross-entropy plus the attention loss, backward and AdamW. The dense
form, below, builds every relation class by class, as the method's formulas read and as its
released program computes. Its first logits and loss must agree with ours, or nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from measure import in_fresh_process, interleave, median_ratio, peak_growth, write_result
from torch import Tensor
from torch.nn import functional as F

from segloom.enhancements.afma import Afma, AfmaConfig
from segloom.models import create_model
from segloom.training.callbacks.activations import checkpoint_activations
from segloom.types import ModelShape

CLASSES, HEIGHT, WIDTH, PATCH = 12, 480, 640, 10


class DenseAfma(Afma):
    """The same parameters and results, with every relation built and kept, class by class."""

    def relate(self, image: Tensor, feature: Tensor) -> Tensor:
        """Build the relations ``(B, K, N, M)`` instead of their factors."""
        image_embedding = self.image_second(self.image_first(image))
        feature_embedding = self.feature_embed(feature) * self.feature_scale
        relations = []
        for k in range(CLASSES):
            rows = self._tokens(image_embedding[:, k : k + 1])
            columns = self._tokens(feature_embedding[:, k : k + 1])
            rows = F.relu(self.reduce(self.expand(rows)))
            columns = F.relu(self.reduce(self.expand(columns)))
            relations.append(rows @ columns.transpose(1, 2) / PATCH**2)
        return torch.stack(relations, dim=1)  # (B, K, N, M)

    def correct(self, logits: Tensor, signal: Tensor) -> Tensor:
        """Divide each relation by its count, multiply, and scale the logits."""
        one_hot = F.one_hot(logits.argmax(1), CLASSES).permute(0, 3, 1, 2).float()
        pooled = F.avg_pool2d(one_hot, self.stride)
        gains = []
        for k in range(CLASSES):
            relation = signal[:, k]
            averaged = relation / (torch.count_nonzero(relation, -1).unsqueeze(-1) + 1e-5)
            patches = averaged @ self._tokens(pooled[:, k : k + 1])
            gains.append(F.fold(patches.transpose(1, 2), logits.shape[-2:], PATCH, stride=PATCH))
        return logits + torch.cat(gains, dim=1) * logits

    def loss(self, signal: Tensor, target: Tensor) -> Tensor:
        """Build the gold relations and average the squared difference."""
        one_hot = F.one_hot(target, CLASSES).permute(0, 3, 1, 2).float()
        pooled = F.avg_pool2d(one_hot, self.stride)
        gold = [
            self._tokens(one_hot[:, k : k + 1])
            @ self._tokens(pooled[:, k : k + 1]).transpose(1, 2)
            / PATCH**2
            for k in range(CLASSES)
        ]
        return F.mse_loss(signal, torch.stack(gold, dim=1))

    def _tokens(self, plane: Tensor) -> Tensor:
        return F.unfold(plane, PATCH, stride=PATCH).transpose(1, 2)  # (B, N, Q)


def make_step(kind: str, level: int, batch: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """Build a network and return its training step, which returns the logits and the loss.

    Args:
        kind: ``dense``, ``factored``, ``plain`` (no attention), or ``saving``, which is
            ``factored`` with ``train.checkpoint_activations``.
        level: Encoder level of the attention.
        batch: Images.
    """
    torch.manual_seed(0)
    enhancements: list[AfmaConfig] = {
        "plain": [],
        "factored": [AfmaConfig(level=level, mode="parity")],
        "saving": [AfmaConfig(level=level, mode="parity")],
        "dense": [_DenseConfig(level=level, mode="parity")],
    }[kind]
    model = create_model(
        "unet", encoder_name="resnet18", classes=CLASSES, enhancements=enhancements
    )
    if kind == "saving":
        checkpoint_activations(model, "resnet18")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    image = torch.randn(batch, 3, HEIGHT, WIDTH)
    coarse = torch.randint(CLASSES, (batch, 1, HEIGHT // 20, WIDTH // 20)).float()
    target = F.interpolate(coarse, size=(HEIGHT, WIDTH)).squeeze(1).long()

    def step() -> tuple[Tensor, Tensor]:
        optimizer.zero_grad(set_to_none=True)
        prediction = model.run(image)
        loss = 5 * F.cross_entropy(prediction.logits, target)
        loss = loss + sum(model.auxiliary_losses(prediction, target).values())
        loss.backward()
        optimizer.step()
        return prediction.logits.detach(), loss.detach()

    return step


class _DenseConfig(AfmaConfig):
    def build(self, shape: ModelShape) -> Afma:
        made = super().build(shape)
        made.__class__ = DenseAfma
        return made


def check_equal(level: int) -> None:
    """Stop unless both forms give the same logits and the same loss at the first step."""
    (logits, loss), (dense_logits, dense_loss) = (
        make_step(kind, level, 1)() for kind in ("factored", "dense")
    )
    torch.testing.assert_close(logits, dense_logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss, dense_loss, rtol=1e-5, atol=0)


def measure_level(level: int, *, batch: int, rounds: int, threads: int) -> dict[str, Any]:
    """Measure one encoder level: time here, in turns; memory in a process of its own each."""
    check_equal(level)
    kinds = ("dense", "factored", "plain")
    timings = interleave(
        {kind: make_step(kind, level, batch) for kind in kinds}, rounds=rounds, warmup=1
    )
    words = ["--level", str(level), "--batch", str(batch), "--threads", str(threads)]
    memory = {kind: in_fresh_process(__file__, ["--memory", kind, *words]) for kind in kinds}
    return {
        "level": level,
        "seconds": timings,
        "peak_growth_mib": {kind: round(size / 2**20, 1) for kind, size in memory.items()},
        "times_faster": median_ratio(timings, "dense", "factored"),
        "times_faster_cpu": median_ratio(timings, "dense", "factored", "cpu_median_s"),
        # Of the attention itself: the plain network's own memory is the same on both sides.
        "memory_share": round(
            (memory["factored"] - memory["plain"]) / (memory["dense"] - memory["plain"]), 3
        ),
        "memory_share_with_network": round(memory["factored"] / memory["dense"], 3),
        "overhead_over_plain": {
            kind: round(timings[kind]["median_s"] / timings["plain"]["median_s"], 3)
            for kind in ("dense", "factored")
        },
    }


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--batch", type=int, default=1, help="images per step")
    parser.add_argument("--rounds", type=int, default=7, help="measured steps per variant")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--memory", choices=["dense", "factored", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--level", type=int, default=1, help=argparse.SUPPRESS)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    if words.memory:
        step = make_step(words.memory, words.level, words.batch)
        print(json.dumps(peak_growth(step)))
        return
    start, rows = time.perf_counter(), []
    for level in words.levels:
        row = measure_level(level, batch=words.batch, rounds=words.rounds, threads=words.threads)
        rows.append(row)
        seconds = {kind: row["seconds"][kind]["median_s"] for kind in row["seconds"]}
        print(
            f"level {level}: step {row['times_faster']:.2f} times faster "
            f"({row['times_faster_cpu']:.2f} in processor time), attention's peak memory "
            f"{row['memory_share']:.0%} ({row['memory_share_with_network']:.0%} with the network); "
            + ", ".join(
                f"{kind} {seconds[kind]:.3f} s {row['peak_growth_mib'][kind]:.0f} MiB"
                for kind in seconds
            ),
            flush=True,
        )
    if not words.no_write:
        result = {
            "what": f"training step, Unet resnet18, {CLASSES} classes, {HEIGHT}x{WIDTH}, fp32",
            "batch": words.batch,
            "rounds": words.rounds,
            "goal": {"level": 1, "times_faster": 1.9, "memory_share": 0.4},
            "levels": rows,
        }
        print(f"wrote {write_result('afma', result)} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
