"""A reward function over HTTP, as ddpo-pytorch, TRL and flow_grpo call one; needs numpy only.

    reward = RewardClient("http://127.0.0.1:8080")
    scores, info = reward(images, prompts, metadata)
"""
import base64
import json
import struct
import urllib.request
import zlib

import numpy as np


def png(image):
    """uint8 [H, W, 3] as a PNG file."""
    height, width, _ = image.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)) + chunk(b"IEND", b""))


class RewardClient:
    """@param reward  a name, where several are served. @param token  where the server asks for one."""

    def __init__(self, address, reward=None, token=None, timeout_s=120):
        self.url, self.reward, self.timeout_s = address + "/v1/score", reward, timeout_s
        self.headers = {"Content-Type": "application/json"} | ({"Authorization": "Bearer " + token} if token else {})

    def __call__(self, images, prompts, metadata=None):
        """images: [B, C, H, W] in 0..1 (array or tensor), or uint8 [B, H, W, C]. Returns scores [B] and what the server said."""
        images = np.asarray(images.detach().cpu() if hasattr(images, "detach") else images)
        if images.dtype != np.uint8:
            images = (images.transpose(0, 2, 3, 1) * 255).round().clip(0, 255).astype(np.uint8)
        items = [{"prompt": p, "image": base64.b64encode(png(i)).decode()} for p, i in zip(prompts, images, strict=True)]
        body = json.dumps({"items": items} | ({"reward": self.reward} if self.reward else {})).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url, body, self.headers), timeout=self.timeout_s) as answer:
            info = json.load(answer)
        return np.array([np.nan if s["score"] is None else s["score"] for s in info["scores"]], np.float32), info
