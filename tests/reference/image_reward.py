"""ImageReward in plain PyTorch and Pillow, image file to score, and BERT's uncased WordPiece, for tests.

image_reward.py make OUT [full]            ImageReward.pt of random weights under the published names, and vocab.txt;
                                           small, or of the published sizes
image_reward.py score FOLDER ROWS.json     [[image, prompt], ...]; prints a JSON list of scores
image_reward.py tokens VOCAB TEXTS.json    prints a JSON list of [[CLS], ..., [SEP]], neither cut nor padded
"""
import json
import math
import os
import sys
import unicodedata

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
SCORE_MEAN, SCORE_STD = 0.16717362830052426, 1.0333394966054072
LENGTH = 35
SPECIAL = ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]", "[DEC]", "[ENC]")
CHINESE = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
           (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))


def read_vocabulary(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        ids = {line.rstrip("\r\n"): number for number, line in enumerate(file)}
    for token in ("[DEC]", "[ENC]"):
        ids.setdefault(token, len(ids))
    return ids


def split_special(text):
    """Texts and special tokens, alternating."""
    while text:
        found = [(text.find(token), token) for token in SPECIAL if token in text]
        if not found:
            yield text, None
            return
        at, token = min(found)
        yield text[:at], token
        text = text[at + len(token):]


def words_of(text):
    spaced = []
    for char in text.lower():
        code, kind = ord(char), unicodedata.category(char)
        if char in "\t\n\r" or kind == "Zs":
            spaced.append(" ")
        elif code in (0, 0xFFFD) or kind.startswith("C"):
            continue
        elif any(low <= code <= high for low, high in CHINESE):
            spaced.append(f" {char} ")
        else:
            spaced.append(char)
    for word in "".join(spaced).split():
        current = ""
        for char in unicodedata.normalize("NFD", word.lower()):
            if unicodedata.category(char) == "Mn":
                continue
            code = ord(char)
            ascii_sign = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
            if ascii_sign or unicodedata.category(char).startswith("P"):
                if current:
                    yield current
                yield char
                current = ""
            else:
                current += char
        yield from current.split()


def pieces_of(word, ids):
    if len(word) > 100:
        return [ids["[UNK]"]]
    pieces, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in ids:
                pieces.append(ids[piece])
                start = end
                break
        else:
            return [ids["[UNK]"]]
    return pieces


def tokenize(text, ids):
    result = [ids["[CLS]"]]
    for part, special in split_special(text):
        for word in words_of(part):
            result += pieces_of(word, ids)
        if special:
            result.append(ids[special])
    return result + [ids["[SEP]"]]


def make_vocabulary(path, size):
    tokens = ["[PAD]"] + [f"[unused{i}]" for i in range(99)] + ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [str(d) for d in range(10)]
    tokens += [chr(c) for c in range(33, 127) if not chr(c).isalnum() and chr(c) not in tokens]
    tokens += letters + ["##" + letter for letter in letters]
    tokens += "picture photo red car cars cat number of the tree trees with ##ing ##er σ ς ##ς ##σ 猫 車 ß é".split()
    tokens += [f"word{i}" for i in range(size - 2 - len(tokens))]
    assert len(set(tokens)) == len(tokens)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("".join(token + "\n" for token in tokens))
    return len(tokens) + 2


def make(out, full):
    import torch
    torch.manual_seed(3)
    os.makedirs(out, exist_ok=True)
    vision, layers, patch, side = (1024, 24, 16, 14) if full else (192, 3, 8, 5)
    text, text_layers, positions = (768, 12, 512) if full else (128, 2, 64)
    vocabulary = make_vocabulary(f"{out}/vocab.txt", 30524 if full else 400)
    tensors = {}

    def linear(name, rows, columns, scale=1.0):
        tensors[name + ".weight"] = torch.randn(rows, columns) * (scale / math.sqrt(columns))
        tensors[name + ".bias"] = torch.randn(rows) * 0.1

    def norm(name, width):
        tensors[name + ".weight"] = 1.0 + 0.2 * torch.randn(width)
        tensors[name + ".bias"] = 0.2 * torch.randn(width)

    name = "blip.visual_encoder."
    tensors[name + "cls_token"] = torch.randn(1, 1, vision)
    tensors[name + "pos_embed"] = torch.randn(1, side * side + 1, vision) * 0.5
    tensors[name + "patch_embed.proj.weight"] = torch.randn(vision, 3, patch, patch) / math.sqrt(3 * patch * patch)
    tensors[name + "patch_embed.proj.bias"] = torch.randn(vision) * 0.3
    for i in range(layers):
        block = f"{name}blocks.{i}."
        norm(block + "norm1", vision)
        linear(block + "attn.qkv", 3 * vision, vision)
        linear(block + "attn.proj", vision, vision)
        norm(block + "norm2", vision)
        linear(block + "mlp.fc1", 4 * vision, vision)
        linear(block + "mlp.fc2", vision, 4 * vision)
    norm(name + "norm", vision)
    name = "blip.text_encoder."
    tensors[name + "embeddings.position_ids"] = torch.arange(positions).unsqueeze(0)
    tensors[name + "embeddings.word_embeddings.weight"] = torch.randn(vocabulary, text)
    tensors[name + "embeddings.position_embeddings.weight"] = torch.randn(positions, text) * 0.5
    norm(name + "embeddings.LayerNorm", text)
    for i in range(text_layers):
        layer = f"{name}encoder.layer.{i}."
        for part, width in (("attention.", text), ("crossattention.", vision)):
            linear(layer + part + "self.query", text, text)
            linear(layer + part + "self.key", text, width)
            linear(layer + part + "self.value", text, width)
            linear(layer + part + "output.dense", text, text)
            norm(layer + part + "output.LayerNorm", text)
        linear(layer + "intermediate.dense", 4 * text, text)
        linear(layer + "output.dense", text, 4 * text)
        norm(layer + "output.LayerNorm", text)
    linear("blip.vision_proj", 256, vision)
    linear("blip.text_proj", 256, text)
    sizes = (1024, 128, 64, 16, 1)
    for index, inputs, outputs in zip((0, 2, 4, 6, 7), (text,) + sizes, sizes):
        linear(f"mlp.layers.{index}", outputs, inputs)
    torch.save(tensors, f"{out}/ImageReward.pt")


def pixels_of(path, side):
    import numpy as np
    import torch
    from PIL import Image
    image = Image.open(path)
    width, height = image.size
    short = min(width, height)
    image = image.resize((int(side * width / short), int(side * height / short)), Image.BICUBIC)
    left, top = round((image.size[0] - side) / 2), round((image.size[1] - side) / 2)
    image = image.crop((left, top, left + side, top + side)).convert("RGB")
    values = np.asarray(image, dtype=np.float64).transpose(2, 0, 1) / 255.0
    values = (values - np.array(MEAN).reshape(3, 1, 1)) / np.array(STD).reshape(3, 1, 1)
    return torch.from_numpy(values).unsqueeze(0)


class Model:
    def __init__(self, folder):
        import torch
        import torch.nn.functional as functional
        self.torch, self.f = torch, functional
        tensors = torch.load(f"{folder}/ImageReward.pt")
        self.weights = {name: tensor.double() for name, tensor in tensors.items() if tensor.is_floating_point()}

    def linear(self, x, name):
        return self.f.linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])

    def norm(self, x, name, eps):
        return self.f.layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"], eps)

    def attend(self, q, k, v, mask=None):
        def heads(x):
            return x.view(x.shape[0], x.shape[1], -1, 64).transpose(1, 2)
        scores = heads(q) @ heads(k).transpose(2, 3) / 8.0
        if mask is not None:
            scores = scores + mask
        return (scores.softmax(-1) @ heads(v)).transpose(1, 2).reshape(q.shape)

    def states(self, path):
        name = "blip.visual_encoder."
        kernel = self.weights[name + "patch_embed.proj.weight"]
        tokens = self.weights[name + "pos_embed"].shape[1]
        side = kernel.shape[-1] * round(math.sqrt(tokens - 1))
        patches = self.f.conv2d(pixels_of(path, side), kernel, self.weights[name + "patch_embed.proj.bias"],
                                stride=kernel.shape[-1])
        x = self.torch.cat([self.weights[name + "cls_token"], patches.flatten(2).transpose(1, 2)], 1)
        x = x + self.weights[name + "pos_embed"]
        layer = 0
        while f"{name}blocks.{layer}.norm1.weight" in self.weights:
            block = f"{name}blocks.{layer}."
            q, k, v = self.linear(self.norm(x, block + "norm1", 1e-6), block + "attn.qkv").chunk(3, -1)
            x = x + self.linear(self.attend(q, k, v), block + "attn.proj")
            hidden = self.f.gelu(self.linear(self.norm(x, block + "norm2", 1e-6), block + "mlp.fc1"))
            x = x + self.linear(hidden, block + "mlp.fc2")
            layer += 1
        return self.norm(x, name + "norm", 1e-6)

    def attention(self, x, seen, name, mask=None):
        q = self.linear(x, name + "self.query")
        k, v = self.linear(seen, name + "self.key"), self.linear(seen, name + "self.value")
        out = self.linear(self.attend(q, k, v, mask), name + "output.dense")
        return self.norm(out + x, name + "output.LayerNorm", 1e-12)

    def score(self, states, tokens):
        """Padded to 35 and masked, as the original does."""
        if len(tokens) > LENGTH:
            tokens = tokens[:LENGTH - 1] + tokens[-1:]
        mask = self.torch.tensor([[0.0] * len(tokens) + [-10000.0] * (LENGTH - len(tokens))]).double()[:, None, None, :]
        ids = self.torch.tensor([tokens + [0] * (LENGTH - len(tokens))])
        name = "blip.text_encoder."
        x = self.weights[name + "embeddings.word_embeddings.weight"][ids]
        x = x + self.weights[name + "embeddings.position_embeddings.weight"][:LENGTH]
        x = self.norm(x, name + "embeddings.LayerNorm", 1e-12)
        layer = 0
        while f"{name}encoder.layer.{layer}.output.dense.weight" in self.weights:
            prefix = f"{name}encoder.layer.{layer}."
            x = self.attention(x, x, prefix + "attention.", mask)
            x = self.attention(x, states, prefix + "crossattention.")
            hidden = self.f.gelu(self.linear(x, prefix + "intermediate.dense"))
            x = self.norm(self.linear(hidden, prefix + "output.dense") + x, prefix + "output.LayerNorm", 1e-12)
            layer += 1
        x = x[:, 0]
        for index in (0, 2, 4, 6, 7):
            x = self.linear(x, f"mlp.layers.{index}")
        return (x.item() - SCORE_MEAN) / SCORE_STD


def score(folder, rows):
    ids = read_vocabulary(f"{folder}/vocab.txt")
    model = Model(folder)
    states = {path: model.states(path) for path in {row[0] for row in rows}}
    return [model.score(states[path], tokenize(prompt, ids)) for path, prompt in rows]


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], full=len(sys.argv) > 3)
    else:
        with open(sys.argv[3], encoding="utf-8") as input_file:
            given = json.load(input_file)
        if sys.argv[1] == "score":
            print(json.dumps(score(sys.argv[2], given)))
        else:
            vocabulary_ids = read_vocabulary(sys.argv[2])
            print(json.dumps([tokenize(text, vocabulary_ids) for text in given]))
