"""The timing of encode.sh: each row's two sides in turn, ROUNDS times, medians and their ratio.

usage: encode_rounds.py IMAGERANK BENCHMARKS PEERS SCRATCH PROMPTS.jsonl ROUNDS [ROW...]      rows: those whose name contains ROW
A side that cannot run (a precision or program that does not exist here) is printed as "not available", with its reason.
"""
import glob
import os
import re
import statistics
import sys
import time

import numpy as np

if len(sys.argv) < 7:
    sys.exit(__doc__)
PROGRAM, BENCHMARKS, PEERS, SCRATCH, PROMPTS = map(os.path.realpath, sys.argv[1:6])
ROUNDS, WANTED = int(sys.argv[6]), sys.argv[7:]
THREADS = len(os.sched_getaffinity(0))
MODEL = f"{SCRATCH}/model"
LOG = f"{SCRATCH}/log"


class Unavailable(Exception):
    pass


def run(*command):
    """Wall seconds, peak memory in MB and output of a process. Raises Unavailable with its last line if it fails."""
    arguments = [str(a) for a in command]
    if not os.path.exists(arguments[0]):
        raise Unavailable(f"no {arguments[0]}")
    with open(LOG, "wb") as log:
        files = [(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)]
        start = time.perf_counter()
        child = os.posix_spawn(arguments[0], arguments, {**os.environ, "OMP_NUM_THREADS": str(THREADS)}, file_actions=files)
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - start
    with open(LOG, encoding="utf-8", errors="replace") as log:
        output = log.read().strip()
    if status != 0:
        raise Unavailable((output.splitlines() or [f"status {status}"])[-1])
    return seconds, usage.ru_maxrss / 1024, output


def slope(few, many, command_of):
    """Rows a second between `few` and `many` rows, and the larger run's peak memory."""
    first, _, _ = run(*command_of(few))
    second, peak, _ = run(*command_of(many))
    if second <= first:
        raise Unavailable(f"{many} rows took no longer than {few}: more rows are needed")
    return (many - few) / (second - first), peak


def printed(*command):
    """The rate that a program prints about itself, without its start-up."""
    _, peak, output = run(*command)
    found = re.findall(r"([\d.]+) (?:images|prompts|texts)/s", output)
    if not found:
        raise Unavailable(f"expected a rate, found {output[-80:]!r}")
    return float(found[-1]), peak


def which(name):
    paths = (f"{folder}/{name}" for folder in os.environ["PATH"].split(":"))
    return next((path for path in paths if os.path.exists(path)), name)


def list_file(kind, count):
    files = sorted(glob.glob(f"{SCRATCH}/{kind}/*"))
    if count > len(files):
        sys.exit(f"{SCRATCH}/{kind}: expected {count} distinct images, found {len(files)}")
    path = f"{SCRATCH}/{kind}_{count}.txt"
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(f"{name}\n" for name in files[:count])
    return path


def pixels_file(count):
    path = f"{SCRATCH}/pixels_{count}.npy"
    if not os.path.exists(path):
        np.save(path, np.random.default_rng(1).standard_normal((count, 3, 224, 224), np.float32))
    return path


def prompts_file(count):
    path = f"{SCRATCH}/prompts_{count}.jsonl"
    with open(PROMPTS, encoding="utf-8") as source, open(path, "w", encoding="utf-8") as out:
        lines = [line for line, _ in zip(source, range(count))]
        if len(lines) < count:
            sys.exit(f"{PROMPTS}: expected {count} texts, found {len(lines)}")
        out.writelines(lines)
    return path


def embed(few, many, precision, kind, make, model=MODEL):
    return lambda: slope(few, many, lambda count: (
        PROGRAM, "embed", "--model", model, kind, make(count), "--out", f"{SCRATCH}/out.npy", "--precision", precision,
        "--threads", THREADS, "--allow-untrained", "--quiet"))


def embed_files(kind, few, many, precision):
    return embed(few, many, precision, "--images", lambda count: "@" + list_file(kind, count))


def onnx(kind, few, many):
    script, model = f"{SCRATCH}/encode_ort.mjs", f"{SCRATCH}/vision.onnx"
    return lambda: slope(few, many, lambda count: (which("node"), script, model, f"{SCRATCH}/{kind}", 16, count))


def torch(*arguments, model=MODEL):
    return lambda: printed(sys.executable, f"{PEERS}/clip_torch.py", arguments[0], model, *arguments[1:])


def products(precision):
    return lambda: printed(f"{BENCHMARKS}/onednn_products", precision, 1)


def tokenizer(threads):
    return lambda: printed(f"{BENCHMARKS}/tokenize", MODEL, PROMPTS, 5, threads)


def transformers_js():
    return printed(which("node"), f"{SCRATCH}/tokenize_transformersjs.mjs", MODEL, PROMPTS, 5)


def rows():
    """(what, ours, the peer's name, the peer); rates in images, prompts or texts a second."""
    jpeg, png, pixel, text = (64, 512), (32, 192), (32, 352), (256, 2304)
    ort, onnx_jpeg = "ONNX Runtime + sharp", onnx("jpeg", *jpeg)
    ours_jpeg = {precision: embed_files("jpeg", *jpeg, precision) for precision in ("fp32", "bf16", "int8")}
    for precision, ours in ours_jpeg.items():
        yield f"512 px JPEG, {precision}", ours, ort, onnx_jpeg
    yield "1024 px PNG, bf16", embed_files("png", *png, "bf16"), ort, onnx("png", *png)
    yield "512 px JPEG, bf16", ours_jpeg["bf16"], "PyTorch bf16, tower alone", torch("time", 32, "bf16")
    for precision in ("fp32", "bf16", "int8"):
        yield (f"tower from pixels, {precision}", embed(*pixel, precision, "--pixels", pixels_file),
               "oneDNN's four products alone", products(precision))
    yield "text tower, bf16", embed(*text, "bf16", "--texts", prompts_file), "PyTorch fp32, 77 tokens", torch("text")
    for name in ("l14", "h14"):
        model = f"{SCRATCH}/model_{name}"
        if not os.path.isdir(model):
            continue
        # Enough images that reading gigabytes of weights, now and then from the disk, does not count.
        few, many = (8, 72) if name == "l14" else (4, 36)
        for precision, peer in (("fp32", "fp32"), ("bf16", "bf16"), ("int8", "bf16")):
            yield (f"{name} tower from pixels, {precision}", embed(few, many, precision, "--pixels", pixels_file, model),
                   f"PyTorch {peer}, tower alone", torch("time", 4, peer, model=model))
    for threads in sorted({1, THREADS}):
        yield f"tokenizer, threads: {threads}", tokenizer(threads), "transformers.js", transformers_js


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    name = re.search(r"model name\s*: (.*)", text)
    flags = set(text.split())
    known = ("amx_tile", "amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni", "avx512f", "avx_vnni", "avx2")
    found = [flag for flag in known if flag in flags]
    return f"{name.group(1) if name else 'unknown CPU'}, {THREADS} threads; AMX {'yes' if 'amx_tile' in flags else 'no'}; {' '.join(found)}"


class Side:
    """One program's rates over the rounds."""

    def __init__(self, measure):
        self.measure, self.rates, self.peak, self.reason = measure, [], 0.0, ""

    def once(self):
        if self.reason:
            return
        try:
            rate, peak = self.measure()
            self.rates.append(rate)
            self.peak = max(self.peak, peak)
        except Unavailable as error:
            self.reason = str(error)

    def median(self):
        return None if self.reason else statistics.median(self.rates)

    def shown(self):
        return f"not available: {self.reason}" if self.reason else f"{self.median():.1f}"


def main():
    print(machine(), flush=True)
    sides = {}  # by what measures them: what stands in several rows runs once a round
    table = []
    for what, ours, peer_name, peer in rows():
        if WANTED and not any(word in what for word in WANTED):
            continue
        table.append((what, peer_name, sides.setdefault(ours, Side(ours)), sides.setdefault(peer, Side(peer))))
    for number in range(ROUNDS):
        for done, side in enumerate(sides.values()):
            side.once()
            last = side.reason or f"{side.rates[-1]:.1f}"
            print(f"round {number + 1} of {ROUNDS}: {done + 1} of {len(sides)}: {last}", file=sys.stderr, flush=True)
    print("| what | ours, /s | peak MB | peer | peer, /s | ratio | rates, ours; peer |\n| --- | --- | --- | --- | --- | --- | --- |")
    for what, peer_name, ours, peer in table:
        ratio = "-" if ours.reason or peer.reason else f"{ours.median() / peer.median():.2f}"
        rates = "; ".join(", ".join(f"{rate:.1f}" for rate in side.rates) for side in (ours, peer))
        print(f"| {what} | {ours.shown()} | {ours.peak:.0f} | {peer_name} | {peer.shown()} | {ratio} | {rates} |")
    missing = sum(bool(ours.reason or peer.reason) for _, _, ours, peer in table)
    print(f"{missing} of {len(table)} rows without a ratio")


main()
