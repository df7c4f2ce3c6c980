#!/usr/bin/env python3
"""Trains the model; one script for CPU and GPU.

    python train.py --build build --minutes 100

The learning rate (warm-up, then cosine to its floor) and the sparsity target
follow the share of the budget that has passed: wall-clock time (--minutes,
counted from the first start even across --resume), tokens (--tokens), or
whichever of the two is further along. Every token is seen once an epoch, in
random crops of 512; every third step trains on whole crops, the others on their halves
as sequences of 256 (cheaper attention).

Sparsity: an L1 penalty on the MLPs' post-ReLU activations (as in ProSparse).
Each layer's weight is steered, not fixed: up while the share of zeros, the
layer's own and the mean over layers, lies below the target, down otherwise
(a layer that must be dense may be, if others are sparser); the target is
ramped up over the first half.

Heads: each layer but the first has a gate for each head, linear in the norm
before the MLP of the layer before. Heads with closed gates are left out in
training; the share of open gates is steered down in the same way, and what
closed heads would have added is penalised. The gates are not part of the
model: they make it one whose idle heads can be foretold a layer ahead.

Groups: in the same way neighbouring neurons share a gate, a product of low
rank on the norm before their MLP, so that a small predictor can name those
that fire.
"""
import argparse
import csv
import functools
import json
import math
import os
import pathlib
import pickle
import signal
import sys
import time

# Freed memory is kept, in large pages: a step's temporaries would be mapped and cleared anew each time otherwise,
# a third of the time on a CPU. glibc reads these once, at the start.
if "MALLOC_TOP_PAD_" not in os.environ:
    os.environ.update(MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_="100000000000", MALLOC_TOP_PAD_="1000000000",
                      GLIBC_TUNABLES="glibc.malloc.hugetlb=1")
    os.execv(sys.executable, [sys.executable] + sys.argv)

import jax
import jax.numpy as jnp
import numpy as np

import model


def schedule(f, peak, floor=0.02, warmup=0.02):
    if f < warmup:
        return peak * (f / warmup * 0.95 + 0.05)
    f = min(1.0, (f - warmup) / (1 - warmup))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * f)))


def target(f, first, final):
    """From the first share linearly to the final one."""
    return min(final, first + (final - first) * max(0.0, f - 0.03) / 0.42)


def steer(weight, shares, goal, low, high):
    """The penalties' weights by layer, a little up where the layer's share and the mean share lie below the goal."""
    gap = np.minimum(goal - shares, goal - shares.mean())
    return np.clip(weight * np.exp(0.3 * np.clip(gap, -0.1, 0.1)), low, high)


def orthogonal(g, dtype, steps=5):
    """Newton-Schulz iteration towards the nearest orthogonal matrix (Jordan et al., Muon, 2024), for a
    batch of matrices with at least as many columns as rows."""
    mul = lambda a, b: jnp.matmul(a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)
    x = g / (jnp.sqrt((g * g).sum((-2, -1), keepdims=True)) + 1e-7)
    for _ in range(steps):
        y = mul(x, x.mT)
        x = 3.4445 * x + mul(-4.7750 * y + 2.0315 * mul(y, y), x)
    return x


def update(params, grads, m, v, step, lr, wd, dtype, b1=0.9, b2=0.98, eps=1e-8, clip=1.0, muon=0.95):
    """Muon for the layers' matrices, AdamW for everything else; `lr` is AdamW's, Muon's is ten times that."""
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in grads.values()))
    scale = jnp.minimum(1.0, clip / (norm + 1e-6))
    c1, c2 = 1 - b1 ** step, 1 - b2 ** step
    np_, nm, nv = {}, {}, {}
    groups = {}
    for k, p in params.items():
        g = grads[k] * scale
        if p.ndim == 2 and k.startswith("layers."):
            nm[k], nv[k] = muon * m[k] + g, v[k]
            u = g + muon * nm[k]
            tall = p.shape[0] > p.shape[1]
            groups.setdefault(min(p.shape) * max(p.shape), []).append((k, u.T if tall else u, tall))
            continue
        nm[k] = b1 * m[k] + (1 - b1) * g
        nv[k] = b2 * v[k] + (1 - b2) * g * g
        u = (nm[k] / c1) / (jnp.sqrt(nv[k] / c2) + eps)
        if k == "embed_tokens.weight":
            u = u + wd * p
        np_[k] = p - lr * u
    for members in groups.values():
        for (k, _, tall), u in zip(members, orthogonal(jnp.stack([u for _, u, _ in members]), dtype)):
            p = params[k]
            u = (u.T if tall else u) * max(1.0, p.shape[0] / p.shape[1]) ** 0.5
            np_[k] = p - 10 * lr * (u + 0.1 * wd * p)
    return np_, nm, nv, norm


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="output of data.py; checkpoints go here too")
    a.add_argument("--log", type=pathlib.Path, default=pathlib.Path("build/log.csv"))
    a.add_argument("--minutes", type=float, default=math.inf)
    a.add_argument("--tokens", type=float, default=math.inf)
    a.add_argument("--batch", type=int, default=4096, help="tokens a step")
    a.add_argument("--lr", type=float, default=2e-3)
    a.add_argument("--wd", type=float, default=0.1)
    a.add_argument("--sparsity", type=float, default=0.9, help="share of zeros among MLP activations to reach")
    a.add_argument("--first-sparsity", type=float, default=0.5, help="share to begin with: about what an untrained ReLU gives")
    a.add_argument("--idle-heads", type=float, default=0.45, help="share of closed head gates to reach, the first layer aside")
    a.add_argument("--first-idle-heads", type=float, default=0.0)
    a.add_argument("--missed-heads", type=float, default=0.4, help="weight of what heads with closed gates would have added")
    a.add_argument("--idle-groups", type=float, default=0.8, help="share of closed gates of groups of neurons to reach")
    a.add_argument("--first-idle-groups", type=float, default=0.0)
    a.add_argument("--missed-groups", type=float, default=2.0, help="weight of the share of activations in closed groups")
    a.add_argument("--surprise", type=float, default=0.1, help="weight of how badly gates foretell which groups fire")
    a.add_argument("--save-minutes", type=float, default=4)
    a.add_argument("--eval-steps", type=int, default=200)
    a.add_argument("--bf16", action="store_true", help="matrix products in bfloat16")
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--resume", action="store_true")
    a.add_argument("--restart", action="store_true", help="with --resume: a new budget from the checkpoint's weights")
    a = a.parse_args()
    assert math.isfinite(min(a.minutes, a.tokens)), "give --minutes or --tokens"

    train = np.fromfile(a.build / "train.bin", np.uint16).astype(np.int32)
    held = np.fromfile(a.build / "heldout.bin", np.uint16).astype(np.int32)
    info = json.loads((a.build / "data.json").read_text())
    bytes_per_token = info["heldout"]["bytes"] / info["heldout"]["tokens"]
    c = model.Config()
    dtype = jnp.bfloat16 if a.bf16 else jnp.float32
    P, crops = c.positions, a.batch // c.positions

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step_fn(params, m, v, batch, step, lr, lam, mu, nu):
        def objective(p):
            ce, is_ = model.loss(p, batch[:, :-1], batch[:, 1:], c, dtype)
            price = jnp.vdot(lam, is_["l1"]) + jnp.vdot(mu, is_["heads"]) + jnp.vdot(nu, is_["groups"])
            missed = a.missed_heads * is_["missed_heads"].mean() + a.missed_groups * is_["missed_groups"].mean()
            return ce + price + missed + a.surprise * is_["surprise"].sum(), (ce, is_)
        grads, aux = jax.grad(objective, has_aux=True)(params)
        params, m, v, norm = update(params, grads, m, v, step, lr, a.wd, dtype)
        return params, m, v, aux, norm

    eval_fn = jax.jit(lambda p, b, left_out: model.loss(p, b[:, :-1], b[:, 1:], c, dtype, left_out))

    def evaluate(params, n):
        """Mean loss over n crops of the held-out tokens, evenly spread (all: n None), with all computed and with what
        the gates leave; the measures of model.forward."""
        starts = np.arange(0, len(held) - P - 1, P)
        if n:
            starts = starts[np.linspace(0, len(starts) - 1, n).astype(int)]
        starts = starts[:len(starts) // crops * crops].reshape(-1, crops)
        crops_ = [np.stack([held[s:s + P + 1] for s in row]) for row in starts]
        all, few = ([eval_fn(params, b, left_out) for b in crops_] for left_out in (0.0, 1.0))
        mean = lambda *values: np.mean(values, 0)
        return float(mean(*[ce for ce, _ in all])), float(mean(*[ce for ce, _ in few])), jax.tree.map(mean, *[is_ for _, is_ in all])

    def epoch_batches(epoch):
        rng = np.random.default_rng((a.seed, epoch))
        starts = np.arange(int(rng.integers(P)), len(train) - P - 1, P)
        return rng.permutation(starts)[:len(starts) // crops * crops].reshape(-1, crops)

    ckpt = a.build / "checkpoint.pkl"
    if a.resume:
        s = pickle.loads(ckpt.read_bytes())
    else:
        p0 = model.init(c, a.seed)
        z = lambda: {k: np.zeros_like(x) for k, x in p0.items()}
        s = {"params": p0, "m": z(), "v": z(), "step": 0, "epoch": 0, "row": 0, "tokens": 0,
             "lam": np.full(c.layers, 1e-5, np.float32),
             "mu": np.full(c.layers, 1e-4, np.float32), "nu": np.full(c.layers, 1e-3, np.float32), "started": time.time(), "config": c.as_dict()}
    if a.restart:
        s["params"] = dict(model.init_gates(c, a.seed), **s["params"])
        s.setdefault("nu", np.full(c.layers, 1e-3, np.float32))
        zero = lambda: {k: np.zeros_like(x) for k, x in s["params"].items()}
        s.update(started=time.time(), step=0, m=zero(), v=zero())
    params, m, v = (jax.tree.map(jnp.asarray, s[k]) for k in ("params", "m", "v"))
    print(jax.devices(), sum(x.size for x in params.values()), "parameters,", len(train), "training tokens", flush=True)

    def save(name="checkpoint.pkl"):
        host = dict(s, **{k: jax.tree.map(np.asarray, x) for k, x in (("params", params), ("m", m), ("v", v))})
        tmp = a.build / (name + ".tmp")
        tmp.write_bytes(pickle.dumps(host))
        os.replace(tmp, a.build / name)

    new_log = not (a.resume and a.log.exists())
    log = open(a.log, "w" if new_log else "a", newline="")
    out = csv.writer(log)
    if new_log:
        out.writerow(["step", "tokens", "seconds", "lr", "l1_weight_mean", "train_loss", "heldout_loss",
                      "heldout_loss_per_byte", "heldout_loss_gated", "zeros", "idle_heads", "idle_groups", "recall"]
                     + [f"{name}_{i}" for name in ("zeros", "idle_heads", "idle_groups", "recall") for i in range(c.layers)])

    def report(train_loss, lr, n=24):
        val, few, is_ = evaluate(params, n)
        shown = {"zeros": is_["zeros"], "idle_heads": 1 - is_["heads"], "idle_groups": 1 - is_["groups"], "recall": is_["recall"]}
        out.writerow([s["step"], s["tokens"], round(time.time() - s["started"], 1), f"{lr:.3g}", f"{s['lam'].mean():.3g}",
                      f"{train_loss:.4f}", f"{val:.4f}", f"{val / bytes_per_token:.4f}", f"{few:.4f}"]
                     + [f"{x.mean():.4f}" for x in shown.values()] + [f"{x:.4f}" for values in shown.values() for x in values])
        log.flush()
        return (f"held out: {val:.4f} nats/token, {val / bytes_per_token:.4f} nats/byte, {few:.4f} with what is closed left out"
                + "".join(f"\n         {name} {x.round(3)}" for name, x in shown.items()))

    stop = []  # on SIGTERM: save, then leave
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    order, losses, saved, mark = epoch_batches(s["epoch"]), [], time.time(), (time.time(), s["tokens"])
    while True:
        f = max((time.time() - s["started"]) / 60 / a.minutes, s["tokens"] / a.tokens)
        if f >= 1:
            break
        if s["row"] >= len(order):
            s["epoch"], s["row"] = s["epoch"] + 1, 0
            order = epoch_batches(s["epoch"])
        batch = np.stack([train[i:i + P + 1] for i in order[s["row"]]])
        if s["step"] % 3:
            batch = np.concatenate([batch[:, :P // 2 + 1], batch[:, P // 2:]])
        lr = schedule(f, a.lr)
        s["step"] += 1
        params, m, v, (ce, is_), norm = step_fn(
            params, m, v, batch, np.float32(s["step"]), np.float32(lr), s["lam"], s["mu"], s["nu"])
        ce, is_ = float(ce), jax.tree.map(np.asarray, is_)
        s["row"] += 1
        s["tokens"] += a.batch
        losses.append(ce)
        s["lam"] = steer(s["lam"], is_["zeros"], target(f, a.first_sparsity, a.sparsity), 1e-6, 0.05)
        s["mu"][1:] = steer(s["mu"][1:], 1 - is_["heads"][1:], target(f, a.first_idle_heads, a.idle_heads), 1e-6, 0.1)
        s["nu"] = steer(s["nu"], 1 - is_["groups"], target(f, a.first_idle_groups, a.idle_groups), 1e-6, 0.3)
        if s["step"] % 20 == 0:
            t = time.time()
            print(f"{f:6.2%} step {s['step']} epoch {s['epoch']} loss {np.mean(losses[-20:]):.4f} "
                  f"norm {float(norm):.2f} lr {lr:.2e} l1 cost {float(np.vdot(s['lam'], is_['l1'])):.4f} zeros {is_['zeros'].mean():.3f} "
                  f"idle heads {1 - is_['heads'].mean():.3f} ({s['mu'].mean():.1e}, missed {is_['missed_heads'].mean():.3f}) "
                  f"groups {1 - is_['groups'].mean():.3f} ({s['nu'].mean():.1e}, missed {is_['missed_groups'].mean():.3f}, surprise {is_['surprise'].mean():.3f}, recall {is_['recall'].mean():.3f}) "
                  f"{(s['tokens'] - mark[1]) / (t - mark[0]):.0f} tokens/s", flush=True)
            mark = (t, s["tokens"])
        if s["step"] % a.eval_steps == 0:
            print("       ", report(np.mean(losses[-a.eval_steps:]), lr), flush=True)
            losses = losses[-a.eval_steps:]
        if stop or time.time() - saved > 60 * a.save_minutes:
            save()
            saved = time.time()
        if stop:
            return
    save()
    print(f"done: step {s['step']}, {s['tokens']} tokens, all that is", report(np.mean(losses[-a.eval_steps:]), schedule(1.0, a.lr), None), flush=True)


if __name__ == "__main__":
    main()
