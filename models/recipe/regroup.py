#!/usr/bin/env python3
"""Puts neurons that fire together side by side, so that they share a gate. For a checkpoint from before there were gates
of groups; training with them from the beginning needs no such thing.

    python regroup.py --build build      # changes build/checkpoint.pkl
    python train.py --build build --resume --restart ...
"""
import argparse
import pathlib
import pickle

import jax
import numpy as np

import model


def firing(p, ids, c):
    """Which neurons fire, an array [N, ffn] of bool a layer."""
    seen, relu = [], jax.nn.relu

    def spy(x):
        y = relu(x)
        seen.append(np.asarray(y > 0))
        return y

    jax.nn.relu = spy
    model.forward(p, ids, c, left_out=0.0)
    jax.nn.relu = relu
    return seen


def order(fires, size):
    """Greedy: the most used neuron that is left, and those that correlate most with its group, until all are placed."""
    fires = fires.astype(np.float32)
    use = fires.mean(0)
    fires = (fires - use) / np.sqrt(use * (1 - use) + 1e-4)
    correlation = fires.T @ fires / len(fires)
    left, placed = np.ones(len(use), bool), []
    while left.any():
        group = []
        while len(group) < size:
            score = correlation[:, group].mean(1) if group else use
            group.append(int(np.where(left, score, -np.inf).argmax()))
            left[group[-1]] = False
        placed += group
    return np.array(placed)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="output of data.py and train.py")
    a = a.parse_args()
    path = a.build / "checkpoint.pkl"
    s, c = pickle.loads(path.read_bytes()), model.Config()
    text = np.fromfile(a.build / "train.bin", np.uint16).astype(np.int32)
    starts = np.random.default_rng(0).integers(0, len(text) - c.positions, (6, 8))
    p = s["params"]
    everything = dict(model.init_gates(c, 0), **p)
    seen = [firing(everything, np.stack([text[i:i + c.positions] for i in row]), c) for row in starts]
    for i, fires in enumerate(map(np.concatenate, zip(*seen))):
        new = order(fires, c.group)
        share = lambda x: x.reshape(len(x), -1, c.group).any(-1).mean()
        print(f"layer {i}: {fires.mean():.3f} of the neurons fire; of the groups {share(fires):.3f}, reordered {share(fires[:, new]):.3f}")
        q = f"layers.{i}."
        for n in (q + "fc1.weight", q + "fc1.bias"):
            p[n] = p[n][new]
        p[q + "fc2.weight"] = p[q + "fc2.weight"][:, new]
    path.write_bytes(pickle.dumps(s))


if __name__ == "__main__":
    main()
