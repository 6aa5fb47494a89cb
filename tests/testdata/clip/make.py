"""Makes reference.json, what CLIP towers of several shapes give in float64, and model files as PyTorch and OpenAI write
them (Debian's python3-torch 1.13, python3-numpy).

Weights come from a formula, so that tests can make the same ones (tests/clip/formula_model.h); every number is exact in
float16. The model of the files is `small`.
"""
import collections
import json
import os

import numpy
import torch
import torch.nn.functional as F

here = os.path.dirname(os.path.abspath(__file__))
EMBED, VOCABULARY, CONTEXT = 32, 64, 16
START, END = VOCABULARY - 2, VOCABULARY - 1


def shape(image, patch, vision, text, activation):
    names = ("width", "layers", "heads", "mlp_width")
    return {"image_size": image, "patch_size": patch, "activation": activation,
            "vision": dict(zip(names, vision)), "text": dict(zip(names, text))}


TEXT = (64, 2, 1, 256)
SHAPES = {
    "small": shape(4, 2, (64, 1, 1, 64), (64, 1, 1, 64), "quick_gelu"),
    "b32": shape(64, 32, (128, 2, 2, 512), TEXT, "quick_gelu"),
    "b16": shape(32, 16, (128, 2, 2, 512), TEXT, "gelu"),
    "l14": shape(28, 14, (128, 2, 2, 512), (96, 2, 3, 384), "quick_gelu"),
    "l14-336": shape(42, 14, (128, 2, 2, 512), (96, 2, 3, 384), "quick_gelu"),
    "h14": shape(28, 14, (160, 2, 2, 640), TEXT, "gelu"),  # heads of 80
    "g14": shape(28, 14, (352, 1, 4, 1536), TEXT, "gelu"),  # heads of 88, an MLP of 4.3637 times the width
}


def formula(name, extents):
    """Multiples of 1/128 in [-1, 1)."""
    seed = 2166136261
    for byte in name.encode():
        seed = ((seed ^ byte) * 16777619) & 0xFFFFFFFF
    x = (numpy.arange(int(numpy.prod(extents, dtype=numpy.int64)), dtype=numpy.uint64) * 2654435761 + seed) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 739982445) & 0xFFFFFFFF
    x ^= x >> 12
    x = (x * 695872825) & 0xFFFFFFFF
    return ((x >> 24).astype(numpy.float64) / 128 - 1).reshape(extents)


def weights_of(s):
    """open_clip's names; projections lie as Hugging Face has them, [embed, width]."""
    w = {}

    def put(name, *extents):
        values = formula(name, extents)
        norm = name.endswith(".weight") and ("ln_" in name)
        w[name] = torch.from_numpy(numpy.asarray(1 + values / 8 if norm else values / 16))

    def tower(prefix, t):
        d, m = t["width"], t["mlp_width"]
        for i in range(t["layers"]):
            p = f"{prefix}transformer.resblocks.{i}."
            for norm in ("ln_1", "ln_2"):
                put(p + norm + ".weight", d), put(p + norm + ".bias", d)
            put(p + "attn.in_proj_weight", 3 * d, d), put(p + "attn.in_proj_bias", 3 * d)
            put(p + "attn.out_proj.weight", d, d), put(p + "attn.out_proj.bias", d)
            put(p + "mlp.c_fc.weight", m, d), put(p + "mlp.c_fc.bias", m)
            put(p + "mlp.c_proj.weight", d, m), put(p + "mlp.c_proj.bias", d)

    v, t = s["vision"], s["text"]
    tokens = (s["image_size"] // s["patch_size"]) ** 2 + 1
    put("visual.class_embedding", v["width"]), put("visual.positional_embedding", tokens, v["width"])
    put("visual.conv1.weight", v["width"], 3, s["patch_size"], s["patch_size"])
    for norm in ("visual.ln_pre", "visual.ln_post"):
        put(norm + ".weight", v["width"]), put(norm + ".bias", v["width"])
    put("visual.proj", EMBED, v["width"])
    tower("visual.", v)
    put("token_embedding.weight", VOCABULARY, t["width"]), put("positional_embedding", CONTEXT, t["width"])
    put("ln_final.weight", t["width"]), put("ln_final.bias", t["width"])
    put("text_projection", EMBED, t["width"])
    tower("", t)
    put("logit_scale")
    return w


def norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], 1e-5)


def blocks(w, prefix, t, activation, x, mask):
    act = F.gelu if activation == "gelu" else lambda y: y * torch.sigmoid(1.702 * y)
    heads = t["heads"]
    for i in range(t["layers"]):
        p = f"{prefix}transformer.resblocks.{i}."
        n, length, width = x.shape
        qkv = F.linear(norm(w, p + "ln_1", x), w[p + "attn.in_proj_weight"], w[p + "attn.in_proj_bias"])
        q, k, v = qkv.reshape(n, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / (width // heads) ** 0.5
        if mask is not None:
            scores = scores.masked_fill(mask, float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, length, width)
        x = x + F.linear(mixed, w[p + "attn.out_proj.weight"], w[p + "attn.out_proj.bias"])
        hidden = act(F.linear(norm(w, p + "ln_2", x), w[p + "mlp.c_fc.weight"], w[p + "mlp.c_fc.bias"]))
        x = x + F.linear(hidden, w[p + "mlp.c_proj.weight"], w[p + "mlp.c_proj.bias"])
    return x


def embed_images(w, s, pixels):
    x = F.conv2d(pixels, w["visual.conv1.weight"], stride=s["patch_size"]).flatten(2).transpose(1, 2)
    start = w["visual.class_embedding"].expand(len(x), 1, -1)
    x = norm(w, "visual.ln_pre", torch.cat([start, x], 1) + w["visual.positional_embedding"])
    x = blocks(w, "visual.", s["vision"], s["activation"], x, None)
    return F.linear(norm(w, "visual.ln_post", x[:, 0]), w["visual.proj"])


def embed_texts(w, s, tokens, ends):
    x = w["token_embedding.weight"][tokens] + w["positional_embedding"][: tokens.shape[1]]
    mask = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).triu(1)
    x = norm(w, "ln_final", blocks(w, "", s["text"], s["activation"], x, mask))
    return F.linear(x[torch.arange(len(tokens)), ends], w["text_projection"])


texts = [[START, 5, 17, 3, END], [START, 40, END], [START] + list(range(1, 15)) + [END]]
reference = {}
for name, s in SHAPES.items():
    w = weights_of(s)
    pixels = torch.from_numpy(formula("pixels", (2, 3, s["image_size"], s["image_size"])) * 2)
    images = embed_images(w, s, pixels)
    vectors = [embed_texts(w, s, torch.tensor([t]), torch.tensor([len(t) - 1]))[0] for t in texts]
    reference[name] = {**s, "images": images.tolist(), "texts": [v.tolist() for v in vectors]}
with open(os.path.join(here, "reference.json"), "w") as f:
    json.dump({"tokens": texts, "shapes": reference}, f)
    f.write("\n")

small, s = weights_of(SHAPES["small"]), SHAPES["small"]


def hugging_face(w):
    out = {}
    for name, value in w.items():
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        name = name.removeprefix("visual.").replace("transformer.resblocks", "encoder.layers")
        for a, b in [("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("c_fc", "fc1"), ("c_proj", "fc2"),
                     ("attn.out_proj", "self_attn.out_proj"), ("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm"),
                     ("ln_final", "final_layer_norm"), ("class_embedding", "embeddings.class_embedding"),
                     ("conv1", "embeddings.patch_embedding"), ("token_embedding", "embeddings.token_embedding")]:
            name = name.replace(a, b)
        if name == "positional_embedding":
            name = "embeddings.position_embedding.weight"
        if "in_proj_" in name:
            for part, rows in zip("qkv", value.chunk(3)):
                out[f"{tower}." + name.replace("attn.in_proj_", f"self_attn.{part}_proj.")] = rows.clone()
        elif name in ("proj", "text_projection"):
            out["visual_projection.weight" if name == "proj" else "text_projection.weight"] = value
        else:
            out["logit_scale" if name == "logit_scale" else f"{tower}.{name}"] = value
    return out


def folder(name):
    path = os.path.join(here, name)
    os.makedirs(path, exist_ok=True)
    return path


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")


half = lambda w: collections.OrderedDict((k, v.half()) for k, v in w.items())
tower = lambda t: {"hidden_size": t["width"], "num_hidden_layers": t["layers"], "num_attention_heads": t["heads"],
                   "intermediate_size": t["mlp_width"], "hidden_act": s["activation"]}
bin_folder = folder("hugging_face_bin")
with_buffers = half(hugging_face(small))
with_buffers["text_model.embeddings.position_ids"] = torch.arange(CONTEXT).expand((1, -1))
with_buffers["vision_model.embeddings.position_ids"] = torch.arange(5).expand((1, -1))
torch.save(with_buffers, os.path.join(bin_folder, "pytorch_model.bin"))
write_json(os.path.join(bin_folder, "config.json"), {
    "model_type": "clip", "projection_dim": EMBED,
    "vision_config": {**tower(s["vision"]), "image_size": s["image_size"], "patch_size": s["patch_size"]},
    "text_config": {**tower(s["text"]), "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT,
                    "bos_token_id": START, "eos_token_id": END}})

# open_clip keeps its projections as x @ p.
own = collections.OrderedDict((k, v.t().contiguous() if k in ("visual.proj", "text_projection") else v) for k, v in small.items())
training = folder("open_clip_training")
optimizer = {"state": {0: {"exp_avg": torch.zeros(3), "step": numpy.float64(1)}}, "param_groups": [{"lr": 1e-3}]}
torch.save({"epoch": 1, "name": "run", "optimizer": optimizer,
            "state_dict": collections.OrderedDict(("module." + k, v) for k, v in half(own).items())},
           os.path.join(training, "epoch_1.pt"))
write_json(os.path.join(training, "open_clip_config.json"), {
    "model_cfg": {"embed_dim": EMBED, "quick_gelu": True,
                  "vision_cfg": {"image_size": s["image_size"], "patch_size": s["patch_size"], "width": 64, "layers": 1,
                                 "mlp_ratio": 1.0},
                  "text_cfg": {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": 64, "heads": 1, "layers": 1,
                               "mlp_ratio": 1.0}},
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic",
                       "resize_mode": "squash"}})


class Node(torch.nn.Module):
    def forward(self, x):
        return x * 2


def insert(node, name, value):
    head, dot, rest = name.partition(".")
    if not dot:
        if value.is_floating_point():
            node.register_parameter(head, torch.nn.Parameter(value, requires_grad=False))
        else:
            node.register_buffer(head, value)
        return
    if head not in node._modules:
        node.add_module(head, Node())
    insert(node._modules[head], rest, value)


root = Node()
for name, value in half(own).items():
    insert(root, name, value)
for name, value in [("input_resolution", 4), ("context_length", CONTEXT), ("vocab_size", VOCABULARY)]:
    insert(root, name, torch.tensor(value))
torch.jit.save(torch.jit.trace(root, torch.zeros(1)), os.path.join(folder("openai"), "ViT-small.pt"))
