"""The character GPT of examples/shakespeare.nn in PyTorch (eager, compiled) and JAX: tokens per second of training.

Same equations and settings as the example: 4 layers, 4 heads, width 128, context 64, batch 12, AdamW, clipping at 1.
Prints one JSON object: peer, tokens_per_second, seconds_to_first_step, peak_bytes, loss after the timed steps.
"""

import argparse
import json
import math
import resource
import sys
import time

VOCAB, WIDTH, DEPTH, HEADS, CONTEXT, BATCH = 65, 128, 4, 4, 64, 12


def batches(path, steps, seed=0):
    """Yields (inputs, targets) of shape [BATCH, CONTEXT] as lists of character codes."""
    import numpy

    text = open(path, encoding="utf-8").read()
    codes = {c: i for i, c in enumerate(sorted(set(text)))}
    data = numpy.array([codes[c] % VOCAB for c in text], dtype=numpy.int64)
    data = data[: int(0.9 * len(data))]
    draw = numpy.random.default_rng(seed)
    for _ in range(steps):
        starts = draw.integers(0, len(data) - CONTEXT - 1, BATCH)
        rows = numpy.stack([data[s : s + CONTEXT + 1] for s in starts])
        yield rows[:, :-1].copy(), rows[:, 1:].copy()


def rate(step):
    """The learning rate: warm-up over 100 steps, cosine from 1e-3 to 1e-4."""
    if step < 100:
        return 1e-3 * (step + 1) / 100
    return 1e-4 + 0.5 * (1e-3 - 1e-4) * (1 + math.cos(math.pi * min(1.0, (step - 100) / 1900)))


def pytorch(compiled):
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1 = nn.LayerNorm(WIDTH, bias=False)
            self.norm2 = nn.LayerNorm(WIDTH, bias=False)
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.out = nn.Linear(WIDTH, WIDTH, bias=False)
            self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
            self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

        def forward(self, x):
            b, t, d = x.shape
            q, k, v = self.qkv(self.norm1(x)).split(WIDTH, dim=2)
            heads = lambda z: z.view(b, t, HEADS, d // HEADS).transpose(1, 2)
            y = F.scaled_dot_product_attention(heads(q), heads(k), heads(v), is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(b, t, d))
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Embedding(VOCAB, WIDTH)
            self.place = nn.Embedding(CONTEXT, WIDTH)
            self.layers = nn.Sequential(*[Layer() for _ in range(DEPTH)])
            self.norm = nn.LayerNorm(WIDTH, bias=False)
            for p in self.parameters():
                if p.dim() > 1:
                    nn.init.normal_(p, std=0.02)

        def forward(self, x, y):
            h = self.token(x) + self.place(torch.arange(x.shape[1]))
            logits = self.norm(self.layers(h)) @ self.token.weight.T
            return F.cross_entropy(logits.view(-1, VOCAB), y.reshape(-1))

    torch.manual_seed(0)
    model = Gpt()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
    loss_of = torch.compile(model) if compiled else model

    def step(number, x, y):
        for group in optimizer.param_groups:
            group["lr"] = rate(number)
        loss = loss_of(torch.from_numpy(x), torch.from_numpy(y))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step, torch.__version__


def jax_step():
    import jax
    import jax.numpy as np

    key = jax.random.PRNGKey(0)

    def normal(*shape):
        nonlocal key
        key, sub = jax.random.split(key)
        return 0.02 * jax.random.normal(sub, shape)

    layer = lambda: {
        "n1": np.ones(WIDTH),
        "n2": np.ones(WIDTH),
        "qkv": normal(WIDTH, 3 * WIDTH),
        "out": normal(WIDTH, WIDTH),
        "up": normal(WIDTH, 4 * WIDTH),
        "down": normal(4 * WIDTH, WIDTH),
    }
    params = {
        "token": normal(VOCAB, WIDTH),
        "place": normal(CONTEXT, WIDTH),
        "layers": [layer() for _ in range(DEPTH)],
        "norm": np.ones(WIDTH),
    }

    def norm(x, g):
        x = x - x.mean(-1, keepdims=True)
        return g * x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)

    def block(x, p):
        b, t, d = x.shape
        q, k, v = np.split(norm(x, p["n1"]) @ p["qkv"], 3, axis=-1)
        heads = lambda z: z.reshape(b, t, HEADS, d // HEADS).transpose(0, 2, 1, 3)
        q, k, v = heads(q), heads(k), heads(v)
        s = q @ k.transpose(0, 1, 3, 2) / math.sqrt(d // HEADS)
        s = np.where(np.tril(np.ones((t, t), bool)), s, -np.inf)
        y = (jax.nn.softmax(s) @ v).transpose(0, 2, 1, 3).reshape(b, t, d)
        x = x + y @ p["out"]
        return x + jax.nn.gelu(norm(x, p["n2"]) @ p["up"], approximate=False) @ p["down"]

    def loss_of(params, x, y):
        h = params["token"][x] + params["place"]
        for p in params["layers"]:
            h = block(h, p)
        logits = norm(h, params["norm"]) @ params["token"].T
        picked = np.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1)
        return -picked.mean()

    tree = jax.tree_util.tree_map

    @jax.jit
    def update(params, m, v, number, lr, x, y):
        loss, g = jax.value_and_grad(loss_of)(params, x, y)
        total = np.sqrt(sum((l * l).sum() for l in jax.tree_util.tree_leaves(g)))
        g = tree(lambda l: l * np.minimum(1.0, 1.0 / total), g)
        m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = tree(lambda v, g: 0.99 * v + 0.01 * g * g, v, g)
        c1, c2 = 1 - 0.9**number, 1 - 0.99**number

        def one(p, m, v):
            decay = 0.1 if p.ndim > 1 else 0.0
            return p - lr * (m / c1 / (np.sqrt(v / c2) + 1e-8) + decay * p)

        return tree(one, params, m, v), m, v, loss

    zeros = tree(np.zeros_like, params)
    state = [params, zeros, zeros]

    def step(number, x, y):
        *state[:], loss = update(*state, number + 1.0, rate(number), x, y)
        return float(loss)

    return step, jax.__version__


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("peer", choices=["eager", "compile", "jax"])
    options.add_argument("text")
    options.add_argument("--steps", type=int, default=200)
    options.add_argument("--threads", type=int, default=0)
    options = options.parse_args()
    started = time.perf_counter()
    if options.peer != "jax" and options.threads:
        import torch

        torch.set_num_threads(options.threads)
    step, version = jax_step() if options.peer == "jax" else pytorch(options.peer == "compile")
    warm = 10
    loss, first = 0.0, 0.0
    for number, (x, y) in enumerate(batches(options.text, options.steps + warm)):
        loss = step(number, x, y)
        if number == 0:
            first = time.perf_counter() - started
        if number == warm - 1:
            begin = time.perf_counter()
    seconds = time.perf_counter() - begin
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    json.dump(
        {
            "peer": options.peer,
            "version": version,
            "tokens_per_second": options.steps * BATCH * CONTEXT / seconds,
            "seconds_to_first_step": first,
            "peak_bytes": peak,
            "loss": loss,
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
