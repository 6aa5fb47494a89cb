"""Makes the checkpoints of this folder and expected.json, what they hold, with PyTorch 1.13 (Debian's python3-torch).

The dangerous ones name functions that would do harm if they were called; this script never loads them.
"""
import argparse
import collections
import json
import os

import numpy
import torch

torch.manual_seed(1)
here = os.path.dirname(os.path.abspath(__file__))


class Call:
    """Pickled as a call of `function`."""

    def __init__(self, function, *arguments):
        self.how = (function, arguments)

    def __reduce__(self):
        return self.how


def described(tensors):
    return {name: {"shape": list(t.shape), "values": [float(x) for x in t.double().flatten()]} for name, t in tensors.items()}


base = torch.arange(24, dtype=torch.float32) / 4 - 2
plain = collections.OrderedDict(
    [
        ("float", base.reshape(2, 3, 4)[0].clone()),
        ("half", (base[:5] / 8).half()),
        ("bfloat16", base[:6].bfloat16().reshape(3, 2)),
        ("double", base[:3].double()),
        ("transposed", base[:6].reshape(2, 3).t()),
        ("permuted", base.reshape(2, 3, 4).permute(2, 0, 1)),
        ("part", base[5:9]),
        ("column", base.reshape(4, 6)[:, 2]),
        ("scalar", torch.tensor(0.5)),
        ("empty", torch.zeros(0, 3)),
        ("parameter", torch.nn.Parameter(base[:4].clone())),
    ]
)
integers = collections.OrderedDict(
    [
        ("long", torch.tensor([[1, -2**40]])),
        ("int", torch.tensor([7], dtype=torch.int32)),
        ("short", torch.tensor([-7], dtype=torch.int16)),
        ("char", torch.tensor([-7], dtype=torch.int8)),
        ("byte", torch.tensor([200], dtype=torch.uint8)),
        ("bool", torch.tensor([True, False])),
    ]
)
weights = {"linear.weight": base[:6].reshape(2, 3).clone(), "linear.bias": base[:2].clone()}

expected = {}


def save(name, value, holds, **options):
    torch.save(value, os.path.join(here, name), **options)
    expected[name] = None if holds is None else described(holds)


save("plain.pth", plain, plain)
save("integers.pth", integers, integers)
save("legacy.pth", plain, plain, _use_new_zipfile_serialization=False)
save("protocol_4.pth", plain, plain, pickle_protocol=4)

# A training checkpoint: the optimizer's state, numpy's numbers and an argparse.Namespace lie beside the weights.
linear = torch.nn.Linear(3, 2)
linear.load_state_dict({"weight": weights["linear.weight"], "bias": weights["linear.bias"]})
optimizer = torch.optim.AdamW(linear.parameters())
linear(base[:3]).sum().backward()
optimizer.step()
linear.load_state_dict({"weight": weights["linear.weight"], "bias": weights["linear.bias"]})
training = {
    "epoch": 3,
    "best": numpy.float64(0.5),
    "random": numpy.random.RandomState(1).get_state(),
    "args": argparse.Namespace(lr=1e-3),
    "optimizer": optimizer.state_dict(),
    "state_dict": collections.OrderedDict(("module.linear." + k, v) for k, v in linear.state_dict().items()),
}
save("training.pt", training, {"module." + k: v for k, v in weights.items()})
save("training_legacy.pt", training, {"module." + k: v for k, v in weights.items()}, _use_new_zipfile_serialization=False)
save("nested.pt", {"model": {"linear": {"weight": weights["linear.weight"], "bias": weights["linear.bias"]}, "note": "x", "list": [base[:2], 3]}},
     {**weights, "list.0": base[:2]})


class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.sizes = [1, 2]

    def forward(self, x):
        return self.linear(x) * self.scale * self.sizes[0]


class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.register_buffer("input_resolution", torch.tensor(224))

    def forward(self, x):
        return self.inner(x)


outer = Outer()
outer.inner.linear.load_state_dict({"weight": weights["linear.weight"], "bias": weights["linear.bias"]})
outer = outer.half()
torch.jit.save(torch.jit.script(outer), os.path.join(here, "script.pt"))
expected["script.pt"] = described(outer.state_dict())

# Harm beside the weights is not looked at; harm in their place is named.
save("harm_beside.pt", {"state_dict": weights, "optimizer": Call(os.system, "touch harm_was_done")}, weights)
save("harm_root.pt", Call(os.system, "touch harm_was_done"), None)
save("harm_inside.pt", {"a": base[:2].clone(), "b": Call(eval, "open('harm_was_done', 'w')")}, None)
save("harm_import.pt", {"a": base[:2].clone(), "b": os.system}, None)
save("harm_legacy.pt", {"a": Call(os.system, "touch harm_was_done")}, None, _use_new_zipfile_serialization=False)
save("module.pt", linear, None)  # a whole module
save("quantized.pt", {"a": torch.quantize_per_tensor(base[:4], 0.1, 0, torch.qint8)}, None)
import pickle

with open(os.path.join(here, "not_torch.pkl"), "wb") as f:
    pickle.dump(Call(os.system, "touch harm_was_done"), f, protocol=4)
expected["not_torch.pkl"] = None

with open(os.path.join(here, "expected.json"), "w") as f:
    json.dump(expected, f, indent=0, sort_keys=True)
    f.write("\n")
