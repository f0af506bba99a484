"""Trains the character GPT of examples/shakespeare.nn in nnc and in the peers that are installed, in turn, and prints
tokens per second with ratios.

    cargo build --release -p nnc
    python benches/peers/run.py --text input.txt [--nnc target/release/nnc] [--steps 200] [--rounds 4] [--write]

Nothing is installed: a peer whose package is missing is listed as absent. The order is A B C C B A .., so that a slow
drift of the machine's speed meets all alike. `--write` puts the table into docs/benchmarks.md.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ["eager", "compile", "jax"]
NAMES = {"nnc": "nnc", "eager": "PyTorch eager", "compile": "PyTorch compiled", "jax": "JAX jit"}
# A training step multiplies 6 times per weight and token, and attention adds 12 * layers * context * width per token.
FLOPS_PER_TOKEN = 6 * (4 * 12 * 128 * 128 + 65 * 128) + 12 * 4 * 64 * 128


def nnc(binary, text, steps):
    command = [binary, "train", str(ROOT / "examples/shakespeare.nn"), "--data", f"text={text}"]
    command += ["--steps", str(steps), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"nnc failed:\n{done.stderr}")
    last = json.loads(done.stdout.strip().splitlines()[-1])
    rate = last.get("tokens_or_samples_per_second")
    return {"tokens_per_second": rate, "peak_bytes": last["peak_bytes"], "loss": last["loss"], "version": ""}


def peer(python, name, text, steps):
    command = [python, str(HERE / "shakespeare.py"), name, text, "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"absent": lines[-1] if lines else "it failed"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = re.search(r"model name\s*:\s*(.*)", lines.read())
        return name.group(1) if name else platform.processor()
    except OSError:
        return platform.processor()


def memory():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def table(results):
    best = max(
        (statistics.median(run["tokens_per_second"] for run in runs), name)
        for name, runs in results.items()
        if name != "nnc" and runs
    )
    ours = statistics.median(run["tokens_per_second"] for run in results["nnc"])
    lines = ["| | tokens/s | spread | GFLOP/s | peak memory | nnc is |", "|---|---|---|---|---|---|"]
    for name, runs in results.items():
        if not runs:
            lines.append(f"| {NAMES[name]} | absent | | | | |")
            continue
        rates = [run["tokens_per_second"] for run in runs]
        middle = statistics.median(rates)
        peak = max(run["peak_bytes"] for run in runs) / 2**20
        label = f"{NAMES[name]} {runs[0]['version']}".strip()
        flops = middle * FLOPS_PER_TOKEN / 1e9
        lines.append(
            f"| {label} | {middle:,.0f} | {min(rates):,.0f}-{max(rates):,.0f} | {flops:.0f} | {peak:.0f} MiB "
            f"| {ours / middle:.2f}x |"
        )
    lines.append("")
    lines.append(f"nnc against the best peer ({NAMES[best[1]]}): {ours / best[0]:.2f}x")
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--text", required=True, help="a text of 65 characters or fewer kinds")
    options.add_argument("--nnc", default=str(ROOT / "target/release/nnc"))
    options.add_argument("--python", default=sys.executable, help="the interpreter that has the peers")
    options.add_argument("--steps", type=int, default=200)
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--write", action="store_true")
    options = options.parse_args()
    results = {name: [] for name in ["nnc", *PEERS]}
    absent = set()
    for number in range(options.rounds):
        order = list(results) if number % 2 == 0 else list(reversed(results))
        for name in order:
            if name in absent:
                continue
            if name == "nnc":
                found = nnc(options.nnc, options.text, options.steps)
            else:
                found = peer(options.python, name, options.text, options.steps)
            if "absent" in found:
                absent.add(name)
                print(f"{NAMES[name]}: {found['absent']}", file=sys.stderr)
                continue
            results[name].append(found)
            print(f"{NAMES[name]:18} {found['tokens_per_second']:10,.0f} tokens/s", file=sys.stderr)
    if len(absent) == len(PEERS):
        sys.exit("no peer is installed: pip install torch jax")
    text = f"""## Training the character GPT

4 layers, 4 heads, width 128, context 64, batch 12, f32; `examples/shakespeare.nn` and the same equations in the peers.
{processor()}, {os.cpu_count()} cores, {memory()} GiB, {platform.system()} {platform.machine()};
{options.rounds} rounds of {options.steps} steps, in turn. Peak memory is the process's, what a peer's import costs
included.

{table(results)}
"""
    print(text)
    if options.write:
        target = ROOT / "docs/benchmarks.md"
        target.write_text(f"# Benchmarks\n\nMade by `python benches/peers/run.py`.\n\n{text}")


if __name__ == "__main__":
    main()
