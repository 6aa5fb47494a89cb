"""Makes preprocess.json and preprocess.npy: what torch, torchvision's arithmetic and Pillow make of one pattern.

Debian's python3-torch 1.13, python3-pil and python3-numpy; torchvision's steps are written out here, since Debian has no
torchvision: F.resize of a float tensor is torch.nn.functional.interpolate(mode="bicubic", align_corners=False).
"""
import json
import os

import numpy
import torch
from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))


def pattern(width, height):
    """As tests/images/resize_test.cpp has it."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:3]
    noisy = (x * 97 + y * 57 + c * 31 + x * y * 11) % 256
    sharp = numpy.where((x // 3 + y // 2 + c) % 2 == 0, 0, 255)
    return numpy.where((x + y) % 5 < 3, noisy, sharp).astype(numpy.uint8)


def to_tensor(pixels):
    return torch.from_numpy(pixels.astype(numpy.float32) / 255).permute(2, 0, 1)


def hps(pixels, size, antialias):
    tensor = to_tensor(pixels)
    height, width = tensor.shape[1:]
    scale = size / float(max(height, width))
    new = (round(height * scale), round(width * scale))
    if scale != 1.0:
        tensor = torch.nn.functional.interpolate(tensor[None], new, mode="bicubic", align_corners=False, antialias=antialias)[0]
    down, right = size - new[0], size - new[1]
    return torch.nn.functional.pad(tensor, (right // 2, right - right // 2, down // 2, down - down // 2))


def shortest(pixels, size, floor):
    height, width = pixels.shape[:2]
    short, long = min(width, height), max(width, height)
    other = int(size * long / short)
    new = (size, other) if width <= height else (other, size)
    image = numpy.asarray(Image.fromarray(pixels).resize(new, Image.BICUBIC))
    if floor:
        top, left = (new[1] - size) // 2, (new[0] - size) // 2
    else:
        top, left = int(round((new[1] - size) / 2.0)), int(round((new[0] - size) / 2.0))
    return to_tensor(image[top : top + size, left : left + size])


def squash(pixels, size):
    return to_tensor(numpy.asarray(Image.fromarray(pixels).resize((size, size), Image.BICUBIC)))


cases, tensors = [], []
for width, height, size in [(37, 21, 16), (21, 37, 16), (16, 9, 16), (5, 7, 16), (50, 3, 16), (24, 24, 16), (33, 200, 16)]:
    pixels = pattern(width, height)
    for how, make in [
        ("longest_edge antialias", lambda: hps(pixels, size, True)),
        ("longest_edge legacy", lambda: hps(pixels, size, False)),
        ("shortest_edge even", lambda: shortest(pixels, size, False)),
        ("shortest_edge down", lambda: shortest(pixels, size, True)),
        ("squash", lambda: squash(pixels, size)),
    ]:
        cases.append({"width": width, "height": height, "size": size, "how": how})
        tensors.append(make().numpy())
numpy.save(os.path.join(here, "preprocess.npy"), numpy.stack(tensors).astype(numpy.float32))
with open(os.path.join(here, "preprocess.json"), "w") as f:
    json.dump(cases, f, indent=0)
    f.write("\n")
