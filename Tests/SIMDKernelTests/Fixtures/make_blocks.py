#!/usr/bin/env python3
"""Makes blocks.txt, the blocks that QuantTests decodes; needed only to change them.

    make_blocks.py [BLOCKS_PER_TYPE]

Each line has a type, the bytes of a block, and the FNV-1a hash of the bits of the floats that the Python package gguf
(0.17 or newer) makes of it, with one NaN for all NaNs. I2_S is not known to that package: a line has a tensor of two rows of 256
weights, which is packed here as quantize_i2_s of bitnet.cpp (src/ggml-bitnet-mad.cpp, for x86) does it.
"""
import os, sys
import numpy as np
from gguf import GGMLQuantizationType, GGML_QUANT_SIZES
from gguf.quants import dequantize

# Where the types have halves: their scales.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
    "MXFP4": [], "F16": [0], "BF16": [0], "F32": [],
}
# Zeros, the smallest subnormal, the largest numbers, infinities and NaN.
EXTREMES = [0x0000, 0x8000, 0x0001, 0x8001, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E01]
EXPONENTS = [0, 1, 2, 3, 127, 253, 254, 255]  # of MXFP4


def fnv(values):
    values = np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4")
    h = 0xCBF29CE484222325
    for byte in values.tobytes():
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def blocks(name, size, random, count):
    """Zeros, ones, random bytes with each extreme scale, and random bytes with common scales."""
    yield np.zeros(size, np.uint8)
    yield np.full(size, 255, np.uint8)
    halves = HALVES[name]
    for extreme in EXTREMES if halves else []:
        block = random.integers(0, 256, size, np.uint8)
        for at in halves:
            block[at:at + 2] = extreme & 255, extreme >> 8
        yield block
    for exponent in EXPONENTS if name == "MXFP4" else []:
        block = random.integers(0, 256, size, np.uint8)
        block[0] = exponent
        yield block
    for _ in range(count):
        block = random.integers(0, 256, size, np.uint8)
        for at in halves:
            block[at + 1] &= 0xBF
        yield block


def i2_s(random, codes, scale):
    """The bytes of a tensor [2, 256] of codes 0...3, and its floats."""
    packed = codes.reshape(-1, 4, 32).astype(np.uint8)
    packed = packed[:, 0] << 6 | packed[:, 1] << 4 | packed[:, 2] << 2 | packed[:, 3]
    tail = random.integers(0, 256, 32, np.uint8)
    tail[:4] = np.frombuffer(np.float32(scale).tobytes(), np.uint8)
    values = np.array([-1, 0, 1, np.nan], np.float32)[codes] * np.float32(scale)
    return np.concatenate([packed.reshape(-1), tail]), values


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    random = np.random.default_rng(1)
    np.seterr(all="ignore")
    lines = []
    for name in HALVES:
        kind = GGMLQuantizationType[name]
        for block in blocks(name, GGML_QUANT_SIZES[kind][1], random, count):
            lines.append(f"{name} {block.tobytes().hex()} {fnv(dequantize(block, kind))}")
    for scale in [0.0, -0.0, 1e-45, 1.5, 3e38, -0.37, float("inf"), float("nan")]:
        block, values = i2_s(random, random.integers(0, 3, 512), scale)
        lines.append(f"I2_S {block.tobytes().hex()} {fnv(values)}")
    block, values = i2_s(random, random.integers(0, 4, 512), 1)
    lines.append(f"I2_S {block.tobytes().hex()} {fnv(values)}")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "blocks.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")


main()
