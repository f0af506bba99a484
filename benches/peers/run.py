"""Trains the workloads of workloads.py in nnc and in the peers that are installed, in turn, and prints rates with ratios.

    cargo build --release -p nnc
    python benches/peers/run.py --text input.txt [--workloads gpt mlp] [--steps 200] [--rounds 4] [--write]

Nothing is installed: a peer whose package is missing is listed as absent. The order is A B C C B A .., so that a slow
drift of the machine's speed meets all alike. `--write` puts the tables into docs/benchmarks.md.
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
import tempfile

from workloads import WORKLOADS, arrays

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ["eager", "compile", "jax"]
NAMES = {"nnc": "nnc", "eager": "PyTorch eager", "compile": "PyTorch compiled", "jax": "JAX jit"}


def nnc(options, workload, folder, steps):
    size = WORKLOADS[workload]
    data = f"text={options.text}"
    if "shape" in size:
        import numpy

        images, labels = arrays(size)
        numpy.savez(folder / "data.npz", image=images, label=labels)
        data = f"data={folder / 'data.npz'}"
    command = [options.nnc, "train", str(ROOT / size["program"]), "--data", data, "--steps", str(steps), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"nnc failed:\n{done.stderr}")
    last = json.loads(done.stdout.strip().splitlines()[-1])
    rate = last["tokens_or_samples_per_second"]
    return {"rate": rate, "peak_bytes": last["peak_bytes"], "loss": last["loss"], "version": ""}


def peer(options, name, workload, steps):
    command = [options.python, str(HERE / "peer.py"), workload, name, "--text", options.text, "--steps", str(steps)]
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


def table(unit, results):
    present = {name: runs for name, runs in results.items() if runs}
    rate = {name: statistics.median(run["rate"] for run in runs) for name, runs in present.items()}
    lines = [f"| | {unit}/s | spread | peak memory | nnc is |", "|---|---|---|---|---|"]
    for name, runs in present.items():
        rates = [run["rate"] for run in runs]
        peak = max(run["peak_bytes"] for run in runs) / 2**20
        label = f"{NAMES[name]} {runs[0]['version']}".strip()
        lines.append(
            f"| {label} | {rate[name]:,.0f} | {min(rates):,.0f}-{max(rates):,.0f} | {peak:.0f} MiB "
            f"| {rate['nnc'] / rate[name]:.2f}x |"
        )
    others = [name for name in rate if name != "nnc"]
    if others:
        best = max(others, key=rate.get)
        lines += ["", f"nnc against the best peer ({NAMES[best]}): {rate['nnc'] / rate[best]:.2f}x"]
    return "\n".join(lines)


def measure(options, workload, folder):
    steps = max(10, options.steps // WORKLOADS[workload].get("slow", 1))
    results = {name: [] for name in ["nnc", *PEERS]}
    absent = set()
    for number in range(options.rounds):
        order = list(results) if number % 2 == 0 else list(reversed(results))
        for name in (name for name in order if name not in absent):
            if name == "nnc":
                found = nnc(options, workload, folder, steps)
            else:
                found = peer(options, name, workload, steps)
            if "absent" in found:
                absent.add(name)
                print(f"{workload} {NAMES[name]}: {found['absent']}", file=sys.stderr)
                continue
            results[name].append(found)
            print(f"{workload:10} {NAMES[name]:18} {found['rate']:10,.0f}/s", file=sys.stderr)
    size = WORKLOADS[workload]
    about = f"{size['about']}; `{size['program']}`, {options.rounds} rounds of {steps} steps"
    return f"### {workload}\n\n{about[0].upper()}{about[1:]}.\n\n{table(size['unit'], results)}\n"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--text", required=True, help="a text of 65 characters or fewer kinds")
    options.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    options.add_argument("--nnc", default=str(ROOT / "target/release/nnc"))
    options.add_argument("--python", default=sys.executable, help="the interpreter that has the peers")
    options.add_argument("--steps", type=int, default=200, help="of the fastest workload; slow ones make fewer")
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--write", action="store_true")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts = [measure(options, workload, pathlib.Path(folder)) for workload in options.workloads]
    text = f"""# Benchmarks

Made by `python benches/peers/run.py`: training in f32, the same equations and settings in every peer, in turn on
{processor()}, {os.cpu_count()} cores, {memory()} GiB, {platform.system()} {platform.machine()}. Rates are medians, with
the least and the greatest. Peak memory is the process's, what a peer's import costs included.

{chr(10).join(parts)}"""
    print(text)
    if options.write:
        (ROOT / "docs/benchmarks.md").write_text(text)


if __name__ == "__main__":
    main()
