#!/usr/bin/env python3
"""Draws log.csv as SVG:  python plot.py log.csv curve.svg"""
import csv
import sys

import matplotlib
matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "curve"
import matplotlib.pyplot as plt

rows = list(csv.DictReader(open(sys.argv[1])))
x = [float(r["tokens"]) / 1e6 for r in rows]
col = lambda k: [float(r[k]) for r in rows]
fig, ((a, b), (h, g)) = plt.subplots(2, 2, figsize=(10, 7.2))
a.plot(x, col("train_loss"), label="training", color="tab:blue")
a.plot(x, col("heldout_loss"), label="held-out books", color="tab:orange")
# Gates came late, to heads first; before, there is nothing to draw.
since = lambda k: [r for r in rows if r[k]]
at = lambda some: [float(r["tokens"]) / 1e6 for r in some]
gated = since("heldout_loss_gated")
a.plot(at(gated), [float(r["heldout_loss_gated"]) for r in gated], "--", label="held out, what is closed left out", color="tab:orange")
a.set(xlabel="million tokens", ylabel="nats per token", title="Loss")
layers = [k.removeprefix("zeros_") for k in rows[0] if k.startswith("zeros_")]


def by_layer(ax, name, title, unit, limits, rows):
    """A line a layer, and their mean."""
    for i in layers:
        ax.plot(at(rows), [100 * float(r[f"{name}_{i}"]) for r in rows], lw=0.8, color=plt.cm.viridis(int(i) / len(layers)), label=f"layer {i}")
    ax.plot(at(rows), [100 * float(r[name]) for r in rows], lw=2, color="black", label="mean")
    ax.set(xlabel="million tokens", ylabel=f"% {unit}", title=title + ", held-out books", ylim=limits, xlim=a.get_xlim())


by_layer(b, "zeros", "Zeros after ReLU", "zeros", (30, 100), rows)
by_layer(h, "idle_heads", "Heads with closed gates", "of heads", (0, 70), gated)
by_layer(g, "idle_groups", "Groups with closed gates", "of groups", (0, 100), since("idle_groups"))
for ax in (a, b, h, g):
    ax.grid(alpha=0.3)
    ax.legend(fontsize=7, ncols=1 if ax is a else 2)
fig.tight_layout()
fig.savefig(sys.argv[2], metadata={"Date": None})
