"""What differs from scene to scene and, on purpose, from split to split.

As in real driving data, where the splits are different drives, the training, validation and test
scenes come from overlapping but different distributions of weather, season and traffic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segloom.scenes.canvas import Colour

__all__ = ["SPLITS", "Style", "draw_style", "jitter_colors", "pick"]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class _Drive:
    """How often things happen in one split."""

    weathers: tuple[float, float, float, float]
    """Probabilities of overcast, sunny, dusk and haze."""
    bare: float
    """Share of scenes with leafless trees."""
    trees: float
    """Trees per 10 m of kerb."""
    people: float
    """Pedestrians per scene, mean."""
    riders: float
    """Bicyclists per scene, mean."""
    cars: float
    """Cars and vans per scene, mean."""
    storeys: tuple[int, int]
    pavement: tuple[float, float]
    """Width, metres."""
    exposure: tuple[float, float]


_DRIVES = {
    "train": _Drive(
        (0.4, 0.3, 0.15, 0.15), 0.4, 0.45, 7.0, 1.3, 5.0, (2, 4), (1.6, 3.8), (0.62, 1.2)
    ),
    "val": _Drive((0.55, 0.2, 0.1, 0.15), 0.3, 0.7, 5.5, 2.4, 4.5, (1, 3), (2.2, 4.6), (0.7, 1.25)),
    "test": _Drive(
        (0.3, 0.25, 0.3, 0.15), 0.5, 0.6, 7.0, 1.4, 4.0, (2, 5), (2.0, 4.4), (0.5, 1.15)
    ),
}

_SKIES: dict[str, tuple[Colour, ...]] = {
    "overcast": ((232, 235, 238), (205, 210, 216), (246, 246, 244)),
    "sunny": ((150, 182, 226), (120, 160, 215), (190, 208, 232)),
    "dusk": ((128, 136, 152), (172, 150, 140), (96, 106, 126)),
    "haze": ((214, 212, 204), (226, 218, 204), (192, 198, 202)),
}
_LEAVES: tuple[Colour, ...] = (
    (62, 82, 40), (44, 58, 36), (92, 104, 50), (128, 98, 52), (104, 112, 72), (78, 66, 42),
)  # fmt: skip
_TWIGS: tuple[Colour, ...] = ((96, 84, 74), (74, 66, 60), (122, 110, 98))


@dataclass(frozen=True)
class Style:
    """Everything about one scene that is not the place of a thing. Colours are RGB 0 to 255."""

    weather: str
    sky: Colour
    bare: bool
    leaf: Colour
    road: Colour
    kerb: Colour
    pavement_colour: Colour
    pavement: float
    """Width, metres."""
    half_road: float
    """Half the road's width, metres."""
    storeys: tuple[int, int]
    trees: float
    people: int
    riders: int
    cars: int
    sun_side: int
    """-1: the sun stands on the left, 1: on the right; that side's fronts lie in shade."""
    contrast: float
    """How much darker shade is than light, 0 to 1."""
    exposure: float
    sight: float
    """Metres; see `Canvas.sight`."""


def pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of the colours."""
    return colours[int(rng.integers(len(colours)))]


def jitter_colors(
    rng: np.random.Generator, colour: Colour, grey: float = 18, hue: float = 8
) -> Colour:
    """Move a colour in brightness (std ``grey``) and per channel (std ``hue``), 8 to 250."""
    all_channels, *own = rng.standard_normal(4).tolist()
    red, green, blue = (
        min(max(base + grey * all_channels + hue * draw, 8.0), 250.0)
        for base, draw in zip(colour, own, strict=True)
    )
    return red, green, blue


def draw_style(rng: np.random.Generator, split: str) -> Style:
    """Draw the style of one scene of a split."""
    drive = _DRIVES[split]
    weather = tuple(_SKIES)[int(rng.choice(4, p=drive.weathers))]
    bare = bool(rng.random() < drive.bare)
    grey = rng.uniform(66, 128)
    road = jitter_colors(rng, (grey, grey, grey + rng.uniform(-4, 8)), 4, 4)
    # Half of the pavements are as grey as the road: place and kerb tell them apart, not colour.
    bricks = rng.random() < 0.25
    base: Colour = (146, 112, 98) if bricks else (grey + 12, grey + 10, grey + 6)
    return Style(
        weather=weather,
        sky=jitter_colors(rng, pick(rng, _SKIES[weather]), 10, 5),
        bare=bare,
        leaf=jitter_colors(rng, pick(rng, _TWIGS if bare else _LEAVES), 10, 6),
        road=road,
        kerb=jitter_colors(rng, (150, 148, 142), 16, 4),
        pavement_colour=jitter_colors(rng, base, 14, 5),
        pavement=float(rng.uniform(*drive.pavement)),
        half_road=float(rng.uniform(3.2, 5.6)),
        storeys=drive.storeys,
        trees=drive.trees * float(rng.uniform(0.2, 1.8)),
        people=int(rng.poisson(drive.people)),
        riders=int(rng.poisson(drive.riders)),
        cars=int(rng.poisson(drive.cars)),
        sun_side=int(rng.choice([-1, 1])),
        contrast={"overcast": 0.12, "sunny": 0.5, "dusk": 0.25, "haze": 0.1}[weather],
        exposure=max(rng.uniform(*drive.exposure) * (0.72 if weather == "dusk" else 1.0), 0.45),
        sight={"overcast": 190.0, "sunny": 260.0, "dusk": 170.0, "haze": 75.0}[weather],
    )
