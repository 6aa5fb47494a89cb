#!/usr/bin/env python3
"""Makes the images of this folder and, with Pillow as the reference, expected.json and resize.json (python3-pil,
python3-numpy). Run in this folder; the results are committed, so that the tests need no Python."""
import hashlib
import io
import json
import os
import struct
import zlib

import numpy as np
from PIL import Image

rng = np.random.default_rng(7)
files = {}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack(samples, depth):
    rows = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        return b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    bits = (rows[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
    return b"".join(b"\0" + np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits)


def png(width, height, depth, kind, extra=b"", interlaced=False, claim=None):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    samples = rng.integers(0, 1 << depth, (height, width, channels))
    if depth == 16:
        samples[0, :3] = np.array([0, 255, 256])[:, None]
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in passes]
    data = b"".join(pack(part, depth) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", *(claim or (width, height)), depth, kind, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data, 9))
            + chunk(b"IEND", b""))


def palette(entries, alpha=False):
    colours = rng.integers(0, 256, 3 * entries, dtype=np.uint8).tobytes()
    return chunk(b"PLTE", colours) + (chunk(b"tRNS", rng.integers(0, 256, entries, dtype=np.uint8).tobytes()) if alpha else b"")


def scene(width, height, channels):
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 120 * np.sin(x / (3.0 + k) + k) * np.cos(y / (5.0 - k)) for k in range(channels)]
    return np.stack(planes, -1).astype(np.uint8)


def save(name, image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    files[name] = buffer.getvalue()


def gif(screen, frame, transparent=None):
    """One frame that covers a part of the screen; each code 3 bits, the table cleared after every second one."""
    left, top, width, height = frame
    codes = []
    for i in range(width * height):
        codes += ([4] if i % 2 == 0 else []) + [i * 7 % 11 % 4]
    bits = sum(code << (3 * i) for i, code in enumerate(codes + [5]))
    data = bits.to_bytes((3 * len(codes) + 3 + 7) // 8, "little")
    control = b"" if transparent is None else b"\x21\xf9\x04\x01\0\0" + bytes([transparent, 0])
    return (b"GIF89a" + struct.pack("<HHBBB", *screen, 0x81, 1, 0) + bytes([10, 20, 30, 200, 100, 50, 0, 255, 0, 9, 9, 9])
            + control + b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02" + bytes([len(data)]) + data
            + b"\0\x3b")


for kind, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
    for depth in depths:
        for interlaced in (False, True):
            extra = palette(1 << depth, alpha=interlaced) if kind == 3 else b""
            name = {0: "grey", 2: "rgb", 3: "palette", 4: "grey_alpha", 6: "rgba"}[kind]
            files[f"{name}_{depth}{'_interlaced' if interlaced else ''}.png"] = png(7, 5, depth, kind, extra, interlaced)
files["grey_transparent.png"] = png(7, 5, 8, 0, chunk(b"tRNS", b"\0\x10"))
files["rgb_transparent_gamma.png"] = png(7, 5, 8, 2, chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"tRNS", bytes(6)))
files["palette_short.png"] = png(7, 5, 8, 3, palette(9))
rgb = Image.fromarray(scene(21, 13, 3))
save("rgb.jpg", rgb, "JPEG", quality=80)
save("progressive.jpg", rgb, "JPEG", quality=90, progressive=True, subsampling=0)
save("grey.jpg", rgb.convert("L"), "JPEG")
exif = Image.Exif()
exif[0x112] = 6
save("exif_rotated.jpg", rgb, "JPEG", exif=exif)
save("cmyk_adobe.jpg", Image.fromarray(scene(9, 8, 4), "CMYK"), "JPEG", quality=95)
adobe = files["cmyk_adobe.jpg"]
at = adobe.index(b"Adobe")
files["cmyk_plain.jpg"] = adobe[:at - 4] + adobe[at + 12:]
files["ycck.jpg"] = adobe[:at + 11] + b"\x02" + adobe[at + 12:]
files["trailing_bytes.jpg"] = files["rgb.jpg"] + b"and more"
save("lossless.webp", rgb, "WEBP", lossless=True)
save("lossy.webp", rgb, "WEBP", quality=80)
rgba = Image.fromarray(scene(21, 13, 4), "RGBA")
save("alpha.webp", rgba, "WEBP", lossless=True, exact=True)
save("grey_alpha.webp", rgba.convert("LA"), "WEBP", lossless=True, exact=True)
first = Image.new("RGBA", (21, 13))
first.paste(rgba.crop((0, 0, 8, 6)), (4, 2))
save("animated.webp", first, "WEBP", save_all=True, append_images=[rgba], lossless=True, background=(255, 0, 0, 255))
save("rgb.gif", rgb, "GIF")
save("animated.gif", rgb, "GIF", save_all=True, append_images=[rgb.rotate(180)])
files["part.gif"] = gif((9, 8), (2, 1, 5, 4))
files["part_transparent.gif"] = gif((9, 8), (2, 1, 5, 4), transparent=2)
files["sticks_out.gif"] = gif((4, 4), (2, 1, 5, 4))

expected = {}
for name in sorted(files):
    pixels = np.array(Image.open(io.BytesIO(files[name])).convert("RGB"))
    expected[name] = {"width": pixels.shape[1], "height": pixels.shape[0], "rgb": pixels.tobytes().hex()}
# What must fail: Pillow's opinion does not matter here.
files["broken/cut.jpg"] = files["rgb.jpg"][:-40]
files["broken/no_end.jpg"] = files["rgb.jpg"][:-2]
files["broken/cut_with_end.jpg"] = files["rgb.jpg"][:-60] + b"\xff\xd9"
files["broken/cut_progressive.jpg"] = files["progressive.jpg"][:-100]
size = files["rgb.jpg"].index(b"\xff\xc0") + 5
files["broken/huge_claim.jpg"] = files["rgb.jpg"][:size] + struct.pack(">HH", 8000, 8000) + files["rgb.jpg"][size + 4:]
files["broken/too_many_pixels.jpg"] = files["rgb.jpg"][:size] + struct.pack(">HH", 60000, 60000) + files["rgb.jpg"][size + 4:]
files["broken/cut.png"] = files["rgb_8.png"][:70]
files["broken/taller_than_data.png"] = png(7, 5, 8, 2, claim=(7, 50))
files["broken/huge_claim.png"] = png(7, 5, 8, 2, claim=(8000, 8000))
files["broken/too_many_pixels.png"] = png(7, 5, 8, 2, claim=(60000, 60000))
files["broken/no_width.png"] = png(7, 5, 8, 2, claim=(0, 5))
files["broken/no_palette.png"] = png(7, 5, 8, 3)
files["broken/bad_checksum.png"] = files["rgb_8.png"][:50] + b"\0\0" + files["rgb_8.png"][52:]
files["broken/cut.webp"] = files["lossless.webp"][:-20]
files["broken/damaged.webp"] = files["lossy.webp"][:21] + b"\xff\xff" + files["lossy.webp"][23:]
files["broken/cut.gif"] = files["rgb.gif"][:-300]
files["broken/no_image.gif"] = files["part.gif"][:25] + b"\x3b"
files["broken/huge_frame.gif"] = files["part.gif"][:30] + struct.pack("<HH", 8000, 8000) + files["part.gif"][34:]
files["broken/page.html"] = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
files["broken/empty.png"] = b""
os.makedirs("broken", exist_ok=True)
for name, data in files.items():
    with open(name, "wb") as file:
        file.write(data)
with open("expected.json", "w") as file:
    json.dump(expected, file, indent=1, sort_keys=True)
    file.write("\n")

resized = []
for width, height, out_width, out_height in [(512, 384, 298, 224), (1000, 333, 672, 224), (100, 140, 224, 313), (7, 5, 1, 1),
                                             (1, 1, 9, 4), (3, 200, 3, 50), (200, 3, 77, 3), (64, 64, 64, 64),
                                             (301, 77, 13, 200), (2, 500, 224, 56000 // 56)]:
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    noisy = (x * 97 + y * 57 + c * 31 + x * y * 11) % 256
    sharp = np.where((x // 3 + y // 2 + c) % 2 == 0, 0, 255)
    source = np.where((x + y) % 5 < 3, noisy, sharp).astype(np.uint8)
    result = Image.fromarray(source).resize((out_width, out_height), Image.BICUBIC)
    resized.append({"from": [width, height], "to": [out_width, out_height], "sha256": hashlib.sha256(result.tobytes()).hexdigest()})
with open("resize.json", "w") as file:
    json.dump(resized, file, indent=1)
    file.write("\n")
