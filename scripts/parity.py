#!/usr/bin/env python3
"""Writes tests/data/parity.json: what torchvision's and timm's networks answer to weights and an image made by formula.

The Rust test (tests/parity.rs) makes the same weights and image and must get the same answers. Needs torch,
torchvision and timm:  python scripts/parity.py
"""
import json
import math
import pathlib

import numpy as np
import timm
import torch
import torchvision


def uniform(name, count):
    """`count` numbers in 0..1 that depend on the name and their index alone (FNV-1a, then murmur3's finaliser)."""
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B1 + h) & 0xFFFFFFFF
    x ^= x >> 16
    x = (x * 0x85EBCA6B) & 0xFFFFFFFF
    x ^= x >> 13
    x = (x * 0xC2B2AE35) & 0xFFFFFFFF
    x ^= x >> 16
    return x.astype(np.float64) / 2**32


def made(name, shape):
    """The tensor `name`: uniform weights of variance 2 / fan-in, norms around the identity."""
    u = uniform(name, math.prod(shape))
    if name.endswith("running_var"):
        v = 0.75 + 0.5 * u
    elif name.endswith("running_mean") or name.endswith("bias"):
        v = 0.2 * (u - 0.5)
        if name.endswith(("_bn0.bias", "_bn1.bias")):
            v = np.where(u > 0.9, 6.0, v)  # for ReLU6 to have something to clip
    elif len(shape) == 1:
        v = 0.5 + 0.5 * u
    else:
        v = (2 * u - 1) * math.sqrt(6 / math.prod(shape[1:]))
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def lite_name(name):
    """timm's tensor names to those of the EfficientNet-Lite checkpoints; None for what limn does not use."""
    if name.startswith("conv_stem"):
        return "_" + name
    if name.startswith("bn1"):
        return name.replace("bn1", "_bn0")
    if not name.startswith("blocks."):
        return None
    _, stage, block, layer, rest = name.split(".", 4)
    index = STARTS[int(stage)] + int(block)
    first = int(stage) == 0  # no expansion there
    table = (
        {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
        if first
        else {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
              "conv_pwl": "_project_conv", "bn3": "_bn2"}
    )
    return f"_blocks.{index}.{table[layer]}.{rest}"


def fill(model, rename):
    with torch.no_grad():
        for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
            ours = rename(name)
            if ours and not name.endswith("num_batches_tracked"):
                tensor.copy_(made(ours, tensor.shape))
    return model.eval()


def resnet_maps(net, stride, x):
    depth = net.removeprefix("resnet_")
    if stride == 32:
        model = getattr(torchvision.models, f"resnet{depth}")()
    elif depth in ("18", "34"):  # torchvision does not dilate these
        model = timm.create_model(f"resnet{depth}", output_stride=stride)
    else:
        dilate = {16: [False, False, True], 8: [False, True, True]}[stride]
        model = getattr(torchvision.models, f"resnet{depth}")(replace_stride_with_dilation=dilate)
    fill(model, lambda n: n)
    x = model.maxpool(model.bn1(model.conv1(x)).relu())
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
        yield x


def lite_maps(net, stride, x):
    global STARTS
    model = timm.create_model(f"tf_{net}", features_only=True, output_stride=stride, out_indices=(1, 2, 3, 4))
    STARTS = np.cumsum([0] + [len(stage) for stage in model.blocks]).tolist()
    return fill(model, lite_name)(x)


CASES = [(f"resnet_{d}", 32) for d in (18, 34, 50, 101, 152)] + [("resnet_50", 16), ("resnet_50", 8), ("resnet_18", 16)]
CASES += [(f"efficientnet_lite{i}", 32) for i in range(3)] + [("efficientnet_lite0", 16), ("efficientnet_lite0", 8)]
SAMPLES = 32


def main():
    torch.set_num_threads(2)
    image = torch.from_numpy((4 * uniform("image", 3 * 64 * 96) - 2).astype(np.float32).reshape(1, 3, 64, 96))
    cases = []
    for net, stride in CASES:
        maps = []
        with torch.no_grad():
            for y in (resnet_maps if net.startswith("resnet") else lite_maps)(net, stride, image):
                flat = y.double().flatten()
                at = np.linspace(0, len(flat) - 1, SAMPLES).astype(int)
                maps.append({
                    "shape": list(y.shape),
                    "mean": round(flat.mean().item(), 6),
                    "std": round(flat.std(unbiased=False).item(), 6),
                    "samples": [round(flat[i].item(), 5) for i in at],
                })
        print(net, stride, [(m["shape"], m["mean"], m["std"]) for m in maps])
        cases.append({"net": net, "stride": stride, "maps": maps})
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    out = pathlib.Path(__file__).parent.parent / "tests" / "data" / "parity.json"
    body = ",\n".join(json.dumps(c) for c in cases)
    out.write_text(f'{{"made_with": {json.dumps(versions)}, "cases": [\n{body}\n]}}\n')


if __name__ == "__main__":
    main()
