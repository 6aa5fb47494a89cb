"""Makes COUNT images that differ, like photographs: smooth shapes on many scales under fine grain.

usage: make_images.py FOLDER COUNT jpeg|png SIZE [SEED=1]      JPEG quality 90 or PNG, SIZE x SIZE pixels, RGB
Files that exist are kept, so that a second call costs nothing. Needs numpy and Pillow.
"""
import os
import sys

import numpy as np
from PIL import Image

GRAIN = {"jpeg": 4.0, "png": 1.5}  # levels; PNG of 1024 pixels then takes about 1.5 MB, as photographs do


def picture(size, grain, generator):
    """uint8 [size, size, 3]: octaves of noise, each half as strong as the one below, and grain."""
    total = np.zeros((size, size, 3), np.float32)
    cells = 4
    while cells <= size // 4:
        octave = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        smooth = Image.fromarray(octave).resize((size, size), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, np.float32) - 128) * (3.0 / cells**0.8)
        cells *= 2
    return np.clip(128 + total + generator.normal(0, grain, total.shape), 0, 255).astype(np.uint8)


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    folder, count, kind, size = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    seed = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    os.makedirs(folder, exist_ok=True)
    for i in range(count):
        path = f"{folder}/{i:05}.{'jpg' if kind == 'jpeg' else 'png'}"
        if not os.path.exists(path):
            image = Image.fromarray(picture(size, GRAIN[kind], np.random.default_rng([seed, i])))
            image.save(path, **({"quality": 90} if kind == "jpeg" else {"compress_level": 6}))


main()
