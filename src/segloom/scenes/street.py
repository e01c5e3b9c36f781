"""Where things stand: rows of houses, gardens, trees, posts, traffic and people.

Everything with a depth becomes one item; items are painted from far to near.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from segloom.scenes import facades, figures, furniture, vehicles
from segloom.scenes.camera import NEAR, Camera
from segloom.scenes.canvas import BUILDING, FENCE, SIGN, TREE, Canvas
from segloom.scenes.ground import Junction
from segloom.scenes.style import Style, jitter_colors, pick

__all__ = ["Street"]

FAR = 110.0
"""Metres; the street ends here."""


@dataclass
class Street:
    """Lays out one street and paints it."""

    canvas: Canvas
    camera: Camera
    style: Style
    rng: np.random.Generator
    items: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """Depth in metres, and what paints the thing that stands there."""

    def junctions(self) -> tuple[Junction, ...]:
        """Draw none, one or two side streets."""
        found = []
        for side in (-1, 1):
            if self.rng.random() < 0.4:
                start = float(self.rng.uniform(10, 45))
                found.append(Junction(side, start, start + float(self.rng.uniform(6, 11))))
        return tuple(found)

    def build(self, junctions: tuple[Junction, ...]) -> None:
        """Collect all items, then paint them from far to near."""
        self._end_of_street()
        for side in (-1, 1):
            self._row(side, [gap for gap in junctions if gap.side == side])
            self._kerb(side, [gap for gap in junctions if gap.side == side])
        self._traffic()
        self._people()
        for _, paint in sorted(self.items, key=lambda item: -item[0]):
            paint()

    def _add(self, z: float, paint: Callable[[], None]) -> None:
        self.items.append((z, paint))

    def _light(self, side: int) -> float:
        """Brightness of fronts on one side; they face the street."""
        return 1 - self.style.contrast * 0.6 if side == self.style.sun_side else 1.0

    # Houses and gardens

    def _row(self, side: int, gaps: list[Junction]) -> None:
        """Houses with gardens along one side."""
        outer = self.style.half_road + self.style.pavement
        garden = float(self.rng.choice([0.0, 0.0, 2.0, 4.0])) * float(self.rng.uniform(0.7, 1.3))
        z = NEAR + 0.2
        while z < FAR:
            gap = next((gap for gap in gaps if gap.start - 1 <= z < gap.end), None)
            if gap is not None:
                self._side_street(side, gap)
                z = gap.end
                continue
            limit = min((gap.start for gap in gaps if gap.start > z), default=FAR + 20)
            length = min(float(self.rng.uniform(5, 15)), max(limit - z, 2.0))
            if self.rng.random() < 0.12 + 0.1 * self.style.trees:
                self._open_ground(side, outer, z, z + length)
            else:
                self._house(side, outer + garden, z, z + length)
                if garden > 1:
                    self._border(side, outer, z, z + length)
            z += length

    def _house(self, side: int, x: float, start: float, end: float) -> None:
        rng, camera, canvas = self.rng, self.camera, self.canvas
        storeys = int(rng.integers(self.style.storeys[0], self.style.storeys[1] + 1))
        high = 3.0 * storeys
        density = float(np.clip(1.3 * camera.focal / start, 3, 14))
        texture = facades.house_front(rng, self.style, end - start, storeys, density)
        front = (texture * self._light(side)).astype(np.uint8)
        gable = jitter_colors(rng, pick(rng, facades.WALLS), 12, 5)
        roof, pitch = facades.roof_colour(rng), float(rng.choice([0.0, 2.0, 3.0]))
        depth, place, back = (start + end) / 2, x * side, (x + 9) * side
        chimney = float(rng.uniform(start, end)) if rng.random() < 0.5 else None

        def paint() -> None:
            if chimney is not None and pitch:
                foot = camera.project([(x + 3) * side] * 2, [high, high + pitch + 1], [chimney] * 2)
                width = max(0.9 * camera.scale(chimney), 1)
                canvas.line(foot, width, gable, chimney, BUILDING)
            wall = camera.project(
                [place, (x + 4.5) * side, back, back, place],
                [high, high + pitch, high, 0, 0],
                start,
            )
            canvas.polygon(wall, gable, start, BUILDING)
            if pitch:
                slope = camera.project(
                    [place, (x + 4.5) * side, (x + 4.5) * side, place],
                    [high, high + pitch, high + pitch, high],
                    [start, start, end, end],
                )
                canvas.polygon(slope, roof, depth, BUILDING)
            corners = camera.project([place] * 4, [high, high, 0, 0], [start, end, end, start])
            canvas.panel(front, corners, depth, BUILDING)

        self._add(end, paint)
        for _ in range(int(rng.poisson(0.5))):  # boards that stick out over the pavement
            self._board(side, x, float(rng.uniform(start, end)))

    def _board(self, side: int, x: float, z: float) -> None:
        rng = self.rng
        low, high = float(rng.uniform(2.4, 3.4)), float(rng.uniform(0.5, 1.1))
        reach = x - float(rng.uniform(0.6, 1.1))
        corners = self.camera.project(
            np.array([x, reach, reach, x]) * side, [low + high, low + high, low, low], z
        )
        colour = jitter_colors(rng, (130, 110, 100), 50, 45)
        self._add(z, lambda: self.canvas.polygon(corners, colour, z, SIGN))

    def _border(self, side: int, x: float, start: float, end: float) -> None:
        """What divides a garden from the pavement: railing, boards, hedge or nothing."""
        rng, kind = self.rng, self.rng.random()
        density = float(np.clip(1.3 * self.camera.focal / start, 3, 12))
        cover, label, high = None, FENCE, 1.6
        if kind < 0.3:
            texture, cover = facades.railing(rng, end - start, density)
            high = 1.2
        elif kind < 0.5:
            texture = facades.panel_fence(rng, end - start, density)
        elif kind < 0.85:
            texture = facades.hedge(rng, self.style, end - start, density)
            label, high = TREE, float(rng.uniform(0.9, 2.6))
        else:
            return
        texture = (texture * self._light(side)).astype(np.uint8)
        corners = self.camera.project([x * side] * 4, [high, high, 0, 0], [start, end, end, start])
        middle = (start + end) / 2
        self._add(end - 0.1, lambda: self.canvas.panel(texture, corners, middle, label, cover))

    def _open_ground(self, side: int, x: float, start: float, end: float) -> None:
        """A gap between houses with trees behind a fence."""
        for _ in range(int(self.rng.integers(1, 4))):
            place = (x + float(self.rng.uniform(1.5, 8))) * side
            self._tree(place, float(self.rng.uniform(start, end)) + 0.5)
        self._border(side, x, start, end)
        if self.rng.random() < 0.6:
            self._far_wall(side, x + 12, start, end + 14)

    def _side_street(self, side: int, gap: Junction) -> None:
        """What is seen down a side street: a house across it, sometimes trees."""
        x = self.style.half_road + self.style.pavement
        self._far_wall(side, x + 16, gap.start - 4, gap.end + 16)
        if self.rng.random() < 0.5:
            self._tree((x + 10) * side, gap.end + 1)

    def _far_wall(self, side: int, x: float, start: float, end: float) -> None:
        start = max(start, NEAR)
        texture = facades.house_front(self.rng, self.style, end - start, 3, 4)
        high = float(self.rng.uniform(4, 9))
        corners = self.camera.project([x * side] * 4, [high, high, 0, 0], [start, end, end, start])
        self._add(end + 1, lambda: self.canvas.panel(texture, corners, end, BUILDING))

    def _end_of_street(self) -> None:
        """A house, a row of trees or a hazy town at the far end."""
        rng, kind = self.rng, self.rng.random()
        x = np.linspace(-70, 70, 8)
        if kind < 0.75:
            for left in x[:-1]:
                texture = facades.house_front(rng, self.style, 20, 3, 3)
                high = float(rng.uniform(5, 13))
                right = left + 20
                corners = self.camera.project(
                    [left, right, right, left], [high, high, -0.4, -0.4], FAR
                )
                self._add(
                    FAR + 1,
                    partial(self.canvas.panel, texture, corners, FAR, BUILDING),
                )
        for left in np.linspace(-70, 70, 15):
            if kind > 0.5 or rng.random() < 0.2:
                self._tree(float(left) + float(rng.uniform(-3, 3)), FAR - float(rng.uniform(0, 8)))

    def _tree(self, x: float, z: float) -> None:
        self._add(
            z,
            lambda: furniture.paint_tree(self.canvas, self.camera, self.style, self.rng, x, z),
        )

    # Things at the kerb

    def _kerb(self, side: int, gaps: list[Junction]) -> None:
        rng, canvas, camera = self.rng, self.canvas, self.camera
        edge = self.style.half_road

        def place(low: float = 3.5) -> float:
            """More near than far, and never in the mouth of a side street."""
            z = low * (FAR * 0.8 / low) ** float(rng.uniform(0, 1))
            return z if all(not gap.start < z < gap.end for gap in gaps) else -1.0

        lamp = float(rng.uniform(4, 25))
        spacing = float(rng.uniform(14, 30))
        while lamp < FAR:
            x = (edge + 0.4) * side
            self._add(lamp, partial(furniture.paint_lamp_post, canvas, camera, rng, x, lamp, side))
            lamp += spacing
        kinds = [
            (furniture.paint_sign, 2.6, 0.5),
            (furniture.paint_traffic_light, 0.9, 0.5),
            (furniture.paint_bollard, 2.0, 0.3),
            (furniture.paint_bin, 0.5, self.style.pavement * 0.8),
        ]
        for paint, mean, inward in kinds:
            for _ in range(int(rng.poisson(mean))):
                z = place(5.0)
                if z > 0:
                    x = (edge + inward) * side
                    self._add(z, partial(paint, canvas, camera, rng, x, z))
        for _ in range(int(rng.poisson(self.style.trees * 5))):
            z = place(7.0)
            if z > 0:
                self._tree((edge + self.style.pavement * float(rng.uniform(0.3, 0.9))) * side, z)
        if rng.random() < 0.18:  # guard rail at the kerb
            start = float(rng.uniform(4, 25))
            self._border(side, edge + 0.25, start, start + float(rng.uniform(5, 14)))

    # What moves

    def _traffic(self) -> None:
        rng, style, lane = self.rng, self.style, self.style.half_road / 2
        parked = rng.random() < 0.5
        for _ in range(self.style.cars):
            z = 7.5 * (70.0 / 7.5) ** float(rng.uniform(0, 1))
            yaw = float(rng.normal(0, 0.04))
            if parked and rng.random() < 0.6:
                x = float(rng.choice([-1, 1])) * (self.style.half_road - 0.95)
            elif rng.random() < 0.08 and z > 10:
                x, yaw = float(rng.uniform(-2, 2)), float(rng.uniform(0.6, 2.5))  # turning
            else:
                x = float(rng.choice([-1, 1])) * lane
            oncoming = x > 0
            car = vehicles.random_vehicle(
                rng, x, z, yaw + (np.pi if oncoming else 0.0), oncoming=oncoming
            )
            if z - car.length / 2 < (9.0 if car.height > 2 else 5.0):
                continue  # it would fill the picture
            self._add(
                z - car.length / 2,
                partial(vehicles.paint_vehicle, self.canvas, self.camera, style, rng, car),
            )

    def _people(self) -> None:
        rng, style, canvas, camera = self.rng, self.style, self.canvas, self.camera
        for _ in range(style.people):
            z = 5.5 * (60.0 / 5.5) ** float(rng.uniform(0, 1))
            side = float(rng.choice([-1, 1]))
            x = side * (style.half_road + style.pavement * float(rng.uniform(0.25, 0.95)))
            if rng.random() < 0.12:
                x = float(rng.uniform(-1, 1)) * style.half_road  # crossing the road
            for extra in range(int(rng.integers(1, 4)) if rng.random() < 0.3 else 1):
                beside = x + 0.55 * extra
                self._add(z, partial(figures.paint_pedestrian, canvas, camera, rng, beside, z))
        for _ in range(style.riders):
            z = 5.0 * (40.0 / 5.0) ** float(rng.uniform(0, 1))
            x = float(rng.choice([-1, 1])) * (style.half_road - float(rng.uniform(0.4, 1.4)))
            self._add(z, partial(figures.paint_bicyclist, canvas, camera, rng, x, z))
