#!/usr/bin/env python3
"""Pillow's times for what benchmarks/pixels.cpp measures: decode, and resize to a shortest edge of 224; medians.
usage: pixels.py FILE...    (python3-pil)"""
import io
import os
import statistics
import sys
import time

from PIL import Image


def median_ms(call):
    times, end = [], time.perf_counter() + 0.5
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        data = file.read()
    image = Image.open(io.BytesIO(data)).convert("RGB")
    size = tuple(224 * side // min(image.size) for side in image.size)
    decode = median_ms(lambda: Image.open(io.BytesIO(data)).convert("RGB"))
    resize = median_ms(lambda: image.resize(size, Image.BICUBIC))
    print(f"{os.path.basename(path)}: {image.size[0]} x {image.size[1]}: decode {decode:.3f} ms, resize {resize:.3f} ms",
          flush=True)
