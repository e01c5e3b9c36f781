"""Memory and time of labelling a GeoTIFF of any size with ``segloom predict``.

    python benchmarks/bench_geotiff.py --side 20000

makes a raster of four bands with smooth noise, trains nothing, labels it with a small network of
random weights in a process of its own, and prints the most memory that the process ever held.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio

from segloom.models.build import create_model
from segloom.models.weights.checkpoint import save_pretrained
from segloom.types import LabelSet

MEASURED = """
import resource, sys
from segloom.cli.main import main
code = main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"peak memory {peak:.0f} MB", file=sys.stderr)
sys.exit(code)
"""


def make_raster(path: Path, side: int) -> None:
    """Write a raster of four bands in tiles, row of tiles by row of tiles."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (4, side // 64 + 2, side // 64 + 2), dtype=np.uint8)
    profile = {"driver": "GTiff", "height": side, "width": side, "count": 4, "dtype": "uint8",
               "crs": "EPSG:32632", "transform": rasterio.Affine(0.2, 0, 5e5, 0, -0.2, 5.4e6),
               "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate",
               "photometric": "MINISBLACK"}  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        for top in range(0, side, 512):
            height = min(512, side - top)
            rows = np.arange(top, top + height) // 64
            block = coarse[:, rows][:, :, np.arange(side) // 64]
            window = rasterio.windows.Window(0, top, side, height)
            file.write(block, window=window)


def main() -> None:
    """Make the raster, label it, print time and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000, help="pixels")
    parser.add_argument("--encoder-name", default="tu-test_resnet", help="encoder of the network")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raster, model = Path(folder, "raster.tif"), Path(folder, "run/checkpoints/best")
        make_raster(raster, arguments.side)
        network = create_model(
            "fpn", encoder_name=arguments.encoder_name, encoder_weights=None, in_channels=4,
            classes=3,
        )  # fmt: skip
        labels = LabelSet(("ground", "roof", "tree"), ((0, 0, 0), (200, 30, 30), (30, 160, 60)))
        save_pretrained(network, model, labels)
        start = time.perf_counter()
        words = ["predict", str(Path(folder, "run")), str(raster), "--out", f"{folder}/out"]
        subprocess.run([sys.executable, "-c", MEASURED, *words], check=True)
        size = raster.stat().st_size / 2**20
        print(f"{arguments.side} x {arguments.side} x 4, {size:.0f} MB on disk: "
              f"{time.perf_counter() - start:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
