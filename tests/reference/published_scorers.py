"""Published scorers in plain PyTorch, Pillow and torchvision, image file to score, for tests to compare with.

published_scorers.py make TINY OUT       checkpoints as they are published, of the sizes of the model in TINY
published_scorers.py score RULE MODEL TOKENS.json IMAGE...
    RULE    clipscore | pickscore | hpsv2 | hpsv2-antialias
    MODEL   a folder that `make` wrote
    TOKENS  [[start, ..., end], ...]: one text an image, tokenised and cut already
    prints a JSON list of scores
"""
import json
import math
import os
import shutil
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
DIM = 512
TYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64}


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[begin:end], dtype=TYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


def write_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        values = tensor.contiguous().numpy()
        kind = next(key for key, value in TYPES.items() if value == values.dtype)
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        blobs.append(values.tobytes())
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def open_clip_names(tensors, config):
    """Hugging Face's tensors under the names that OpenAI gave them and open_clip and HPSv2 kept."""
    result = {"logit_scale": tensors["logit_scale"]}
    for side, prefix in (("vision_model", "visual."), ("text_model", "")):
        layers = config["vision_config" if prefix else "text_config"]["num_hidden_layers"]
        for i in range(layers):
            source, target = f"{side}.encoder.layers.{i}.", f"{prefix}transformer.resblocks.{i}."
            for kind in ("weight", "bias"):
                parts = [tensors[f"{source}self_attn.{p}_proj.{kind}"] for p in "qkv"]
                result[f"{target}attn.in_proj_{kind}"] = torch.cat(parts)
                for ours, theirs in (("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"),
                                     ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")):
                    result[f"{target}{theirs}.{kind}"] = tensors[f"{source}{ours}.{kind}"]
    for kind in ("weight", "bias"):
        result[f"visual.ln_pre.{kind}"] = tensors[f"vision_model.pre_layrnorm.{kind}"]
        result[f"visual.ln_post.{kind}"] = tensors[f"vision_model.post_layernorm.{kind}"]
        result[f"ln_final.{kind}"] = tensors[f"text_model.final_layer_norm.{kind}"]
    result["visual.conv1.weight"] = tensors["vision_model.embeddings.patch_embedding.weight"]
    result["visual.class_embedding"] = tensors["vision_model.embeddings.class_embedding"]
    result["visual.positional_embedding"] = tensors["vision_model.embeddings.position_embedding.weight"]
    result["visual.proj"] = tensors["visual_projection.weight"].T.contiguous()
    result["token_embedding.weight"] = tensors["text_model.embeddings.token_embedding.weight"]
    result["positional_embedding"] = tensors["text_model.embeddings.position_embedding.weight"]
    result["text_projection"] = tensors["text_projection.weight"].T.contiguous()
    return result


def make(tiny, out):
    torch.manual_seed(5)
    with open(f"{tiny}/config.json") as file:
        config = json.load(file)
    config.pop("imagerank_untrained", None)
    tensors = {}
    for name, tensor in read_safetensors(f"{tiny}/model.safetensors").items():
        tensors[name] = tensor.float()
        if tensor.dim() > 1:  # wide enough that images and texts differ
            tensors[name] = torch.randn(tensor.shape) * (0.9 / math.sqrt(tensor[0].numel()))
        elif "norm" not in name and tensor.dim() == 1:
            tensors[name] = torch.randn(tensor.shape) * 0.1
    # As many numbers a vector as ViT-B/32 has; images and texts lean the same way, so that most cosines are above 0.
    width = tensors["text_projection.weight"].shape[1]
    text = torch.randn(DIM, width) * (0.9 / math.sqrt(width))
    image = torch.randn(DIM, tensors["visual_projection.weight"].shape[1]) * (0.9 / math.sqrt(width))
    image[:, :width] = text
    tensors["text_projection.weight"], tensors["visual_projection.weight"] = text, image
    lean = torch.randn(width)
    tensors["text_model.final_layer_norm.bias"] = lean
    tensors["vision_model.post_layernorm.bias"][:width] = lean
    config["projection_dim"] = DIM
    tensors["logit_scale"] = torch.tensor(4.5)
    for name, activation in (("clip", "quick_gelu"), ("pickscore", "gelu")):
        os.makedirs(f"{out}/{name}")
        for side in ("vision_config", "text_config"):
            config[side]["hidden_act"] = activation
        with open(f"{out}/{name}/config.json", "w") as file:
            json.dump(config, file)
        for file in ("tokenizer.json", "vocab.json", "merges.txt"):
            if os.path.exists(f"{tiny}/{file}"):
                shutil.copy(f"{tiny}/{file}", f"{out}/{name}/{file}")
        extra = {}
        if name == "pickscore":  # as old checkpoints carry them
            extra = {"text_model.embeddings.position_ids": torch.arange(77).unsqueeze(0)}
        write_safetensors(f"{out}/{name}/model.safetensors", {**tensors, **extra})
    with open(f"{out}/clip/preprocessor_config.json", "w") as file:
        side = config["vision_config"]["image_size"]
        json.dump({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": side},
                   "crop_size": {"height": side, "width": side}, "resample": 3, "image_mean": MEAN,
                   "image_std": STD}, file)
    os.makedirs(f"{out}/hps")
    half = {name: tensor.half() for name, tensor in open_clip_names(tensors, config).items()}
    torch.save({"state_dict": half, "epoch": 1}, f"{out}/hps/HPS_v2_compressed.pt")


def attend(x, weights, prefix, heads, mask):
    count, length, width = x.shape
    qkv = F.linear(x, weights[prefix + "attn.in_proj_weight"], weights[prefix + "attn.in_proj_bias"])
    q, k, v = (part.view(count, length, heads, width // heads).transpose(1, 2) for part in qkv.split(width, -1))
    scores = q @ k.transpose(2, 3) / math.sqrt(width // heads)
    if mask is not None:
        scores = scores + mask
    seen = (scores.softmax(-1) @ v).transpose(1, 2).reshape(count, length, width)
    return F.linear(seen, weights[prefix + "attn.out_proj.weight"], weights[prefix + "attn.out_proj.bias"])


def norm(x, weights, name):
    return F.layer_norm(x, x.shape[-1:], weights[name + ".weight"], weights[name + ".bias"], 1e-5)


def transformer(x, weights, prefix, heads, quick, mask=None):
    layer = 0
    while f"{prefix}transformer.resblocks.{layer}.ln_1.weight" in weights:
        name = f"{prefix}transformer.resblocks.{layer}."
        x = x + attend(norm(x, weights, name + "ln_1"), weights, name, heads, mask)
        hidden = F.linear(norm(x, weights, name + "ln_2"), weights[name + "mlp.c_fc.weight"],
                          weights[name + "mlp.c_fc.bias"])
        hidden = hidden * torch.sigmoid(1.702 * hidden) if quick else F.gelu(hidden)
        x = x + F.linear(hidden, weights[name + "mlp.c_proj.weight"], weights[name + "mlp.c_proj.bias"])
        layer += 1
    return x


def image_vector(pixels, weights, heads, quick):
    patches = F.conv2d(pixels, weights["visual.conv1.weight"], stride=weights["visual.conv1.weight"].shape[-1])
    x = patches.flatten(2).transpose(1, 2)
    first = weights["visual.class_embedding"].expand(x.shape[0], 1, -1)
    x = torch.cat([first, x], 1) + weights["visual.positional_embedding"]
    x = transformer(norm(x, weights, "visual.ln_pre"), weights, "visual.", heads, quick)
    return norm(x[:, 0], weights, "visual.ln_post") @ weights["visual.proj"]


def text_vector(tokens, weights, heads, quick):
    x = weights["token_embedding.weight"][torch.tensor([tokens])]
    x = x + weights["positional_embedding"][:len(tokens)]
    mask = torch.full((len(tokens), len(tokens)), -math.inf, dtype=x.dtype).triu(1)
    x = transformer(x, weights, "", heads, quick, mask)
    return norm(x, weights, "ln_final")[:, -1] @ weights["text_projection"]


def clip_pixels(path, side, floor):
    """Shortest edge, centre crop: torchvision's rounding, or that of Hugging Face's processors."""
    image = Image.open(path).convert("RGB")
    width, height = image.size
    short = min(width, height)
    width, height = int(side * width / short), int(side * height / short)
    image = image.resize((width, height), Image.BICUBIC)
    left, top = (width - side) / 2, (height - side) / 2
    left, top = (math.floor(left), math.floor(top)) if floor else (round(left), round(top))
    return TF.to_tensor(image.crop((left, top, left + side, top + side)))


def hps_pixels(path, side, antialias):
    pixels = TF.to_tensor(Image.open(path).convert("RGB"))
    height, width = pixels.shape[1:]
    scale = side / max(height, width)
    height, width = round(height * scale), round(width * scale)
    pixels = TF.resize(pixels, [height, width], InterpolationMode.BICUBIC, antialias=antialias)
    left, top = (side - width) // 2, (side - height) // 2
    return TF.pad(pixels, [left, top, side - width - left, side - height - top], fill=0)


def load(rule, model):
    if rule.startswith("hpsv2"):
        weights = torch.load(f"{model}/HPS_v2_compressed.pt")["state_dict"]
        heads, text_heads, quick = 16, weights["ln_final.weight"].shape[0] // 64, False
    else:
        with open(f"{model}/config.json") as file:
            config = json.load(file)
        weights = open_clip_names(read_safetensors(f"{model}/model.safetensors"), config)
        heads = config["vision_config"]["num_attention_heads"]
        text_heads = config["text_config"]["num_attention_heads"]
        quick = config["vision_config"]["hidden_act"] == "quick_gelu"
    return {name: tensor.double() for name, tensor in weights.items()}, heads, text_heads, quick


def score(rule, model, tokens, paths):
    weights, heads, text_heads, quick = load(rule, model)
    patch = weights["visual.conv1.weight"].shape[-1]
    side = patch * round(math.sqrt(weights["visual.positional_embedding"].shape[0] - 1))
    scores = []
    for path, text in zip(paths, tokens):
        if rule.startswith("hpsv2"):
            pixels = hps_pixels(path, side, rule == "hpsv2-antialias")
        else:
            pixels = clip_pixels(path, side, floor=rule == "pickscore")
        pixels = TF.normalize(pixels, MEAN, STD).double().unsqueeze(0)
        cosine = F.cosine_similarity(image_vector(pixels, weights, heads, quick),
                                     text_vector(text, weights, text_heads, quick)).item()
        if rule == "clipscore":
            cosine = 2.5 * max(cosine, 0)
        if rule == "pickscore":
            cosine *= math.exp(weights["logit_scale"].item())
        scores.append(cosine)
    return scores


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3])
    else:
        with open(sys.argv[4]) as token_file:
            print(json.dumps(score(sys.argv[2], sys.argv[3], json.load(token_file), sys.argv[5:])))
