"""One peer on one workload: samples or tokens per second of training, same equations and settings as the nnc program.

    python benches/peers/peer.py WORKLOAD eager|compile|jax [--text input.txt] [--steps 200]

Prints one JSON object: peer, version, rate, seconds_to_first_step, peak_bytes, loss after the timed steps.
"""

import argparse
import json
import math
import resource
import sys
import time

from workloads import WORKLOADS, arrays

VOCAB = 65


def windows(path, size, steps, seed=0):
    """Yields (inputs, targets) of shape [batch, context] as character codes."""
    import numpy

    text = open(path, encoding="utf-8").read()
    codes = {c: i for i, c in enumerate(sorted(set(text)))}
    data = numpy.array([codes[c] % VOCAB for c in text], dtype=numpy.int64)
    data = data[: int(0.9 * len(data))]
    draw = numpy.random.default_rng(seed)
    for _ in range(steps):
        starts = draw.integers(0, len(data) - size["context"] - 1, size["batch"])
        rows = numpy.stack([data[s : s + size["context"] + 1] for s in starts])
        yield rows[:, :-1].copy(), rows[:, 1:].copy()


def images(size, steps, seed=0):
    """Yields (images, labels) of random data."""
    import numpy

    x, y = arrays(size)
    draw = numpy.random.default_rng(seed)
    for _ in range(steps):
        rows = draw.integers(0, len(x), size["batch"])
        yield x[rows], y[rows].astype(numpy.int64)


def rate(step):
    """The learning rate: warm-up over 100 steps, cosine from 1e-3 to 1e-4."""
    if step < 100:
        return 1e-3 * (step + 1) / 100
    return 1e-4 + 0.5 * (1e-3 - 1e-4) * (1 + math.cos(math.pi * min(1.0, (step - 100) / 1900)))


def gpt(size):
    import torch
    from torch import nn
    from torch.nn import functional as F

    WIDTH, DEPTH, HEADS, CONTEXT = (size[name] for name in ["width", "depth", "heads", "context"])

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

    return Gpt()


def mlp(size):
    from torch import nn
    from torch.nn import functional as F

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
            )

        def forward(self, x, y):
            return F.cross_entropy(self.layers(x), y)

    return Mlp()


def resnet(size):
    from torch import nn
    from torch.nn import functional as F

    def conv(n, m, stride=1):
        return nn.Conv2d(n, m, 3, stride, 1, bias=False)

    class Unit(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.body = nn.Sequential(conv(n, n), nn.BatchNorm2d(n), nn.ReLU(), conv(n, n), nn.BatchNorm2d(n))

        def forward(self, x):
            return F.relu(x + self.body(x))

    def stage(n, m, stride):
        units = [Unit(m) for _ in range(3)]
        return nn.Sequential(conv(n, m, stride), nn.BatchNorm2d(m), nn.ReLU(), *units)

    class Resnet(nn.Module):
        def __init__(self):
            super().__init__()
            self.stages = nn.Sequential(stage(3, 16, 1), stage(16, 32, 2), stage(32, 64, 2))
            self.out = nn.Linear(64, 10)

        def forward(self, x, y):
            return F.cross_entropy(self.out(self.stages(x).mean((2, 3))), y)

    return Resnet()


def recurrent(size):
    from torch import nn
    from torch.nn import functional as F

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(VOCAB, 64)
            cell = nn.LSTM if size["cell"] == "lstm" else nn.GRU
            self.cell = cell(64, size["hidden"], batch_first=True)
            self.out = nn.Linear(size["hidden"], VOCAB)

        def forward(self, x, y):
            h, _ = self.cell(self.embed(x))
            return F.cross_entropy(self.out(h).view(-1, VOCAB), y.reshape(-1))

    return Recurrent()


def pytorch(workload, compiled):
    import torch
    from torch import nn

    size = WORKLOADS[workload]
    torch.manual_seed(0)
    model = {"gpt": gpt, "mlp": mlp, "resnet": resnet, "recurrent": recurrent}[size["kind"]](size)
    if size["kind"] == "gpt":
        matrices = [p for p in model.parameters() if p.dim() > 1]
        vectors = [p for p in model.parameters() if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_of = torch.compile(model) if compiled else model

    def step(number, x, y):
        if size["kind"] == "gpt":
            for group in optimizer.param_groups:
                group["lr"] = rate(number)
        loss = loss_of(torch.from_numpy(x), torch.from_numpy(y))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if size["kind"] in ["gpt", "recurrent"]:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step, torch.__version__


def jax_gpt(workload):
    import jax
    import jax.numpy as np

    size = WORKLOADS[workload]
    WIDTH, DEPTH, HEADS, CONTEXT = (size[name] for name in ["width", "depth", "heads", "context"])

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
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("workload", choices=list(WORKLOADS))
    options.add_argument("peer", choices=["eager", "compile", "jax"])
    options.add_argument("--text", default="input.txt")
    options.add_argument("--steps", type=int, default=200)
    options = options.parse_args()
    size = WORKLOADS[options.workload]
    if options.peer == "jax" and size["kind"] != "gpt":
        sys.exit("this workload is not written for JAX")
    started = time.perf_counter()
    make = jax_gpt(options.workload) if options.peer == "jax" else pytorch(options.workload, options.peer == "compile")
    step, version = make
    warm = 5
    total = options.steps + warm
    batches = images(size, total) if size["kind"] in ["mlp", "resnet"] else windows(options.text, size, total)
    loss, first = 0.0, 0.0
    for number, (x, y) in enumerate(batches):
        loss = step(number, x, y)
        if number == 0:
            first = time.perf_counter() - started
        if number == warm - 1:
            begin = time.perf_counter()
    seconds = time.perf_counter() - begin
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {
        "peer": options.peer,
        "version": version,
        "rate": options.steps * size["batch"] * size.get("context", 1) / seconds,
        "seconds_to_first_step": first,
        "peak_bytes": peak,
        "loss": loss,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
