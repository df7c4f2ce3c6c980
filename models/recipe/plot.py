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
fig, (a, b, h) = plt.subplots(1, 3, figsize=(13, 3.6))
a.plot(x, col("train_loss"), label="training", color="tab:blue")
a.plot(x, col("heldout_loss"), label="held-out books", color="tab:orange")
# Before the gates there was another measure of idle heads, of other runs.
gated = [r for r in rows if r["heldout_loss_gated"]]
gated_x = [float(r["tokens"]) / 1e6 for r in gated]
a.plot(gated_x, [float(r["heldout_loss_gated"]) for r in gated], "--", label="held out, closed heads left out", color="tab:orange")
a.set(xlabel="million tokens", ylabel="nats per token", title="Loss")
layers = [k for k in rows[0] if k.startswith("zeros_")]
for i, k in enumerate(layers):
    b.plot(x, [100 * v for v in col(k)], lw=0.8, color=plt.cm.viridis(i / len(layers)), label=f"layer {i}")
b.plot(x, [100 * v for v in col("zeros")], lw=2, color="black", label="mean")
b.set(xlabel="million tokens", ylabel="% zeros", title="Zeros after ReLU, held-out books", ylim=(30, 100))
for i in range(len(layers)):
    h.plot(gated_x, [100 * float(r[f"idle_heads_{i}"]) for r in gated], lw=0.8, color=plt.cm.viridis(i / len(layers)), label=f"layer {i}")
h.plot(gated_x, [100 * float(r["idle_heads"]) for r in gated], lw=2, color="black", label="mean")
h.set(xlabel="million tokens", ylabel="% of heads", title="Heads whose gates are closed, held-out books", ylim=(0, 70))
for ax in (a, b, h):
    ax.grid(alpha=0.3)
    ax.legend(fontsize=7, ncols=1 if ax is a else 2)
fig.tight_layout()
fig.savefig(sys.argv[2], metadata={"Date": None})
