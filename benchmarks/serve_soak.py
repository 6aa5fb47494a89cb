"""Load with faults on a server of scores, for MINUTES: eight clients whose answers are checked, beside others that hang up in
the middle of a request or of its answer, send half a header, garbage, bodies that are too large and images that are none, and
a SIGHUP every few seconds; at the end SIGTERM while requests are out. Fails if the server dies, an accepted request is not
answered or is answered otherwise than the first time, or memory keeps growing. Writes FOLDER/memory.csv and memory.svg.

usage: serve_soak.py FOLDER MINUTES SERVER...       SERVER...: the command, `imagerank serve --reward R`, without port and tokens
"""
import csv
import http.client
import io
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

if len(sys.argv) < 4:
    sys.exit(__doc__)
FOLDER, MINUTES, COMMAND = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
PORT, TOKEN, IMAGES = 18090, "a-token-for-the-soak", 40
os.makedirs(FOLDER, exist_ok=True)
over = threading.Event()
lock = threading.Lock()
counts, problems = {}, []


def count(name):
    with lock:
        counts[name] = counts.get(name, 0) + 1


def png(seed, side=96):
    """A noisy RGB PNG."""
    rows = random.Random(seed)
    raw = b"".join(b"\0" + rows.randbytes(3 * side) for _ in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 1)) + chunk(b"IEND", b"")


def form(image, prompt="a red car"):
    out = io.BytesIO()
    for name, content in (("prompt", prompt.encode()), ("image", image)):
        out.write(b'--x\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + content + b"\r\n")
    return out.getvalue() + b"--x--\r\n"


FORMS = [form(png(seed)) for seed in range(IMAGES)]
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "multipart/form-data; boundary=x"}
expected = [None] * IMAGES
stopped_at = float("inf")


def good_client(seed):
    """Every request that is sent whole must be answered; and one image always gets one score."""
    choose = random.Random(seed)
    connection = None
    while not over.is_set():
        which = choose.randrange(IMAGES)
        began = time.monotonic()
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
            connection.request("POST", "/v1/score", FORMS[which], HEADERS)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            if over.is_set() and began > stopped_at - 0.05:
                return  # to the server the connection was idle: nothing was accepted
            problems.append(f"good client: {error!r}")
            connection = None
            continue
        if answer.status == 429:
            count("turned away")
        elif answer.status != 200:
            problems.append(f"status {answer.status}: {body[:200]!r}")
        else:
            score = json.loads(body)["scores"][0]["score"]
            with lock:
                expected[which] = score if expected[which] is None else expected[which]
                if expected[which] != score:
                    problems.append(f"image {which}: {expected[which]}, then {score}")
            count("answered")
        if answer.will_close:
            connection = None


def head(length, path="/v1/score", kind="multipart/form-data; boundary=x"):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


def bad_client(seed):
    choose = random.Random(seed)
    garbage = choose.randbytes(2000)
    json_head = head(40, kind="application/json")
    kinds = {
        "half a header": lambda: head(10)[:choose.randrange(20, 100)],
        "half a body": lambda: head(len(FORMS[0])) + FORMS[0][:choose.randrange(len(FORMS[0]))],
        "hung up before the answer": lambda: head(len(FORMS[1])) + FORMS[1],
        "garbage": lambda: garbage[:choose.randrange(1, 2000)],
        "a body too large": lambda: head(1 << 40) + garbage,
        "no token": lambda: b"POST /v1/score HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        "two lengths": lambda: b"POST /v1/score HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "no JSON": lambda: json_head + garbage[:40],
        "no image": lambda: head(len(form(garbage))) + form(garbage),
        "a bomb": lambda: head(len(form(BOMB))) + form(BOMB),
    }
    while not over.is_set():
        kind = choose.choice(list(kinds))
        try:
            with socket.create_connection(("127.0.0.1", PORT), timeout=10) as one:
                one.sendall(kinds[kind]())
                if choose.random() < 0.5:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
                elif kind not in ("half a header", "half a body"):
                    one.recv(65536)
        except OSError:
            pass
        count(kind)
        time.sleep(0.005)


def bomb():
    """A PNG of 30,000 x 30,000 pixels in a few kilobytes."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


BOMB = bomb()


def resident_mb(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def draw(samples):
    most, end = max(mb for _, mb in samples) * 1.1, samples[-1][0]
    points = " ".join(f"{60 + 700 * second / end:.1f},{260 - 240 * mb / most:.1f}" for second, mb in samples)
    with open(f"{FOLDER}/memory.svg", "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="780" height="300" font-family="sans-serif" font-size="12">'
                  f'<rect width="780" height="300" fill="white"/><path d="M60 20V260H760" fill="none" stroke="black"/>'
                  f'<text x="8" y="30">{most:.0f} MB</text><text x="700" y="280">{end / 60:.0f} min</text>'
                  f'<polyline points="{points}" fill="none" stroke="#06c"/></svg>\n')


tokens = f"{FOLDER}/tokens"
with open(tokens, "w", encoding="utf-8") as out:
    out.write(TOKEN + "\n")
with open(f"{FOLDER}/server.log", "w", encoding="utf-8") as log:
    server = subprocess.Popen([*COMMAND, "--port", str(PORT), "--tokens", tokens], stdout=log, stderr=log)
for _ in range(600):
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
        break
    except OSError:
        time.sleep(0.1)
        if server.poll() is not None:
            sys.exit(f"the server did not start: {FOLDER}/server.log")
threads = [threading.Thread(target=good_client, args=(seed,)) for seed in range(8)]
threads += [threading.Thread(target=bad_client, args=(100 + seed,)) for seed in range(6)]
for thread in threads:
    thread.start()
start, samples = time.monotonic(), []
while time.monotonic() - start < MINUTES * 60 and server.poll() is None:
    time.sleep(2)
    if server.poll() is None:
        server.send_signal(signal.SIGHUP)
        samples.append((time.monotonic() - start, resident_mb(server)))
stopped_at = time.monotonic()
over.set()
server.send_signal(signal.SIGTERM)  # while requests are out
for thread in threads:
    thread.join()
try:
    code = server.wait(timeout=60)
except subprocess.TimeoutExpired:
    server.kill()
    code = "none: it had to be killed"
with open(f"{FOLDER}/memory.csv", "w", newline="", encoding="utf-8") as out:
    csv.writer(out).writerows([("seconds", "resident_mb"), *samples])
draw(samples)
middle, end = (sorted(mb for _, mb in part)[len(part) // 2] for part in (samples[len(samples) // 4:len(samples) // 2],
                                                                         samples[3 * len(samples) // 4:]))
print(json.dumps({"minutes": MINUTES, "counts": counts, "exit_code": code, "memory_mb": {"second quarter": round(middle, 1),
      "last quarter": round(end, 1), "most": round(max(mb for _, mb in samples), 1)}}, indent=2))
if code != 0:
    problems.append(f"exit code {code}")
if end > middle * 1.05 + 5:
    problems.append(f"memory grew from {middle:.0f} to {end:.0f} MB")
for problem in problems[:20]:
    print(problem, file=sys.stderr)
sys.exit(1 if problems else 0)
