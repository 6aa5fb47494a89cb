#!/usr/bin/env python3
"""Makes the images of this folder and, with Pillow as the reference, expected.json, upright.json and
resize.json (python3-pil, python3-numpy). Run in this folder; the results are committed, so that the tests need no Python."""
import hashlib
import io
import json
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

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


def filtered(samples, depth, step):
    """The rows of a pass with PNG's filters 0 to 4 in turn."""
    packed = pack(samples, depth)
    size = len(packed) // samples.shape[0]
    out, above = b"", np.zeros(size - 1, int)
    for y in range(samples.shape[0]):
        row = np.frombuffer(packed[y * size + 1:(y + 1) * size], np.uint8).astype(int)
        left = np.concatenate([np.zeros(step, int), row])[:row.size]
        corner = np.concatenate([np.zeros(step, int), above])[:row.size]
        distances = np.abs(np.stack([above - corner, left - corner, left + above - 2 * corner]))
        nearest = np.choose(distances.argmin(0), [left, above, corner])
        guess = [0 * row, left, above, (left + above) // 2, nearest][y % 5]
        out += bytes([y % 5]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    return out


def filtered_png(depth, kind, interlaced, width=23, height=17):
    """Every filter, smooth and noisy pixels, the zlib stream in several chunks."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    smooth = np.add.outer(np.arange(height), np.arange(width))[:, :, None] * np.arange(1, channels + 1)
    samples = (smooth + rng.integers(0, 4, (height, width, channels)) ** 4) % (1 << depth)
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in (ADAM7 if interlaced else [(0, 0, 1, 1)])]
    data = zlib.compress(b"".join(filtered(part, depth, max(1, depth * channels // 8)) for part in parts if part.size))
    cuts = [0, 1, 40, 40, len(data)]
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced))
            + (palette(1 << depth) if kind == 3 else b"")
            + b"".join(chunk(b"IDAT", data[a:b]) for a, b in zip(cuts, cuts[1:])) + chunk(b"IEND", b""))


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
for kind, depths in {0: (1, 4, 8, 16), 2: (8, 16), 3: (2, 8), 4: (8, 16), 6: (8, 16)}.items():
    for depth in depths:
        name = {0: "grey", 2: "rgb", 3: "palette", 4: "grey_alpha", 6: "rgba"}[kind]
        files[f"filtered_{name}_{depth}.png"] = filtered_png(depth, kind, False)
files["filtered_rgb_8_interlaced.png"] = filtered_png(8, 2, True)
save("progressive_420.jpg", rgb, "JPEG", quality=85, progressive=True, subsampling=2)
save("rgb_422.jpg", rgb, "JPEG", quality=85, subsampling=1)
save("grey_progressive.jpg", rgb.convert("L"), "JPEG", progressive=True)
save("truecolour_with_alpha_lossy.webp", rgba, "WEBP", quality=70)
files["png_named.jpg"] = files["rgb_8.png"]

small = Image.fromarray(scene(7, 4, 3))
upright = {"exif_rotated.jpg": 6}
for orientation in range(1, 9):
    exif[0x112] = orientation
    save(f"exif_{orientation}.png", small, "PNG", exif=exif)
    upright[f"exif_{orientation}.png"] = orientation
exif[0x112] = 8
save("exif_8.webp", small, "WEBP", lossless=True, exif=exif)
upright["exif_8.webp"] = 8
exif[0x112] = 9
save("exif_9.jpg", rgb, "JPEG", exif=exif)
upright["exif_9.jpg"] = 1

expected = {}
for name in sorted(files):
    pixels = np.array(Image.open(io.BytesIO(files[name])).convert("RGB"))
    expected[name] = {"width": pixels.shape[1], "height": pixels.shape[0], "rgb": pixels.tobytes().hex()}
turned = {}
for name, orientation in sorted(upright.items()):
    pixels = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(files[name]))).convert("RGB"))
    turned[name] = {"orientation": orientation, "width": pixels.shape[1], "height": pixels.shape[0], "rgb": pixels.tobytes().hex()}
with open("upright.json", "w") as file:
    json.dump(turned, file, indent=1)
    file.write("\n")
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
files["broken/no_height.jpg"] = files["rgb.jpg"][:size] + struct.pack(">HH", 0, 21) + files["rgb.jpg"][size + 4:]
files["broken/no_width.gif"] = files["part.gif"][:30] + struct.pack("<HH", 0, 4) + files["part.gif"][34:]
files["broken/no_width.webp"] = files["lossy.webp"][:26] + bytes(2) + files["lossy.webp"][28:]
files["broken/too_many_pixels.gif"] = files["part.gif"][:6] + struct.pack("<HH", 60000, 60000) + files["part.gif"][10:]
files["broken/too_many_pixels.webp"] = files["animated.webp"][:24] + b"\x5f\xea\0" * 2 + files["animated.webp"][30:]


def bomb(pixels):
    """7 x 5 pixels by its header."""
    return (files["rgb_8.png"][:33] + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b""))


files["broken/bomb.png"] = bomb(bytes(20_000_000))
files["broken/one_row_more.png"] = bomb(bytes(22 * 6))
files["broken/no_such_filter.png"] = bomb((b"\5" + bytes(21)) * 5)
files["broken/damaged_stream.png"] = files["rgb_8.png"][:33] + chunk(b"IDAT", b"\x78\x9c" + bytes(range(60))) + chunk(b"IEND", b"")
files["broken/no_such_depth.png"] = files["rgb_8.png"][:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 4, 2, 0, 0, 0)) + files["rgb_8.png"][33:]
files["broken/page.jpg"] = b"<!DOCTYPE html><html><body>410 Gone</body></html>"
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
