#!/usr/bin/env python3
"""Makes COUNT whole JPEG files of 30 to 300 KB, each different, below FOLDER/files: pictures of SOURCE with random comment
segments. Also lists of URLs: good.txt, all of them below BASE; mixed.txt, the same and for every 7 of them 3 that are dead
(404, refused), stall (no answer, half an answer) or lie (a page, a cut file, a wrong length); replaced.txt, COUNT URLs of
which 7 of 10 are good. nginx serves what it can, trouble_server below TROUBLE the others.
usage: fetch_files.py SOURCE FOLDER COUNT BASE TROUBLE"""
import os
import pathlib
import random
import sys

source, folder, count, base, trouble = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
pictures = [path.read_bytes() for path in sorted(pathlib.Path(source).glob("*.jpg"))]
rng = random.Random(1)
good = []
for i in range(count):
    name = f"{i // 256:03d}/{i:06d}.jpg"
    path = folder / "files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    size = rng.randint(30_000, 300_000)
    fitting = [p for p in pictures if len(p) < size] or [min(pictures, key=len)]
    picture = rng.choice(fitting)
    comments = b""
    while len(picture) + len(comments) < size:
        body = rng.randbytes(min(60_000, max(2, size - len(picture) - len(comments))))
        comments += b"\xff\xfe" + (len(body) + 2).to_bytes(2, "big") + body
    if not path.exists():
        path.write_bytes(picture[:2] + comments + picture[2:])
    good.append(f"{base}/{name}")
bad = []
for i in range(count * 3 // 7):
    kind = ("404", "refused", "silent", "half", "page", "cut", "long")[i % 7]
    host = {"refused": "http://127.0.0.1:1", "404": base, "page": base, "cut": base}.get(kind, trouble)
    bad.append(f"{host}/{kind}/{i}.jpg")
(folder / "page.html").write_text("<!DOCTYPE html><html><body>Image not found</body></html>")
(folder / "cut.jpg").write_bytes(pictures[0][: len(pictures[0]) // 2])
mixed = good + bad
rng.shuffle(mixed)
replaced = rng.sample(good, count - count * 3 // 10) + rng.sample(bad, count * 3 // 10)
rng.shuffle(replaced)
for name, urls in (("good", good), ("mixed", mixed), ("replaced", replaced)):
    (folder / f"{name}.txt").write_text("".join(url + "\n" for url in urls))
print(f"{count} files, {sum(os.path.getsize(folder / 'files' / '/'.join(u.split('/')[-2:])) for u in good) / 1e9:.2f} GB; "
      f"{len(bad)} URLs with trouble")
