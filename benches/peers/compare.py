"""Runs paraformerasr and its peers in turn on the same speech and prints what each costs. benches/peers.sh calls it.

Writes results.json: every run, the medians, the machine. plot.py draws it.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
# Streams, and seconds of speech for each: more streams need less for as many chunks.
FULL = {1: 60, 4: 24, 16: 12, 64: 6}
QUICK = {1: 12, 4: 12}
FIGURES = ["cpu_ms", "cpu_rtf", "wall_rtf", "p50_ms", "p95_ms", "peak_mb", "rss_mb", "tokens", "mean_batch"]
OURS = ["int8", "int8-exact"]
# The package, the name in systems.py, and the file without which it cannot run.
PEERS = [("funasr-onnx", "funasr", "model_quant.onnx"), ("sherpa-onnx", "sherpa", "encoder.int8.onnx")]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith(("model name", "Model"))]
    with open("/proc/meminfo", encoding="ascii") as f:
        memory = round(int(f.readline().split()[1]) / 2**20)
    return f"{models[0] if models else platform.machine()}, {len(os.sched_getaffinity(0))} cores, {memory} GB"


def last_line(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} failed: exit status {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def costs(a, systems):
    """All systems in turn, so that what else the machine does hits all of them."""
    runs = []
    for streams, seconds in (QUICK if a.quick else FULL).items():
        for round_number in range(1 if a.quick else 3):
            for name, command in systems.items():
                run = last_line([*command, "--model", a.model, "--audio", a.audio, "--threads", "1",
                                 "--streams", str(streams), "--seconds", str(seconds)])
                print(f"{streams:3} streams, round {round_number + 1}: {name:26} {run['cpu_ms']:7.2f} ms of CPU a chunk, "
                      f"{run['peak_mb']} MB", flush=True)
                runs.append(dict(run, system=name))
    medians = {}
    for name in systems:
        medians[name] = {}
        for streams in sorted({run["streams"] for run in runs}):
            same = [run for run in runs if (run["system"], run["streams"]) == (name, streams)]
            medians[name][str(streams)] = {figure: statistics.median(run[figure] for run in same) for figure in FIGURES}
    return dict(runs=runs, medians=medians)


def expected(rows):
    """How many live streams the cores should carry by what a chunk costs, with some room; a guess without figures."""
    if not rows:
        return 28
    cost = rows.get("16", rows["1"])["cpu_ms"]
    return max(1, int(0.75 * 600 / cost * len(os.sched_getaffinity(0))))


def live(a, systems, medians):
    """The most live streams that each keeps up with; --quick: whether four are kept up with."""
    found = {}
    for name, (own, program) in systems.items():
        if a.quick:
            command = (own or program) + ["--model", a.model, "--audio", a.audio, "--streams", "4", "--seconds", "10"]
            result = last_line(command)
            result = dict(streams=4 if result["holds"] else 0, runs=[result])
        else:
            # Near what is to be expected, so that few tries are needed; the runs say what is true.
            first = str(expected(medians.get(name)))
            search = [a.live_bench, "--search", "--streams", first, "--seconds", str(a.seconds), "--audio", a.audio]
            if own:
                command = [*own, *search[1:], "--model", a.model]
            else:
                command = [*search, "--", *program, "--model", a.model, "--audio", a.audio]
            result = last_line(command)
        runs = result["runs"]
        detail = ", ".join(f"p95 {run['delay_p95_ms']:.0f} ms, {run['peak_mb']} MB" for run in runs)
        print(f"{name:26} keeps up with {result['streams']} live streams: {detail}", flush=True)
        found[name] = result
    return found


def table(medians):
    peers = [name for name in medians if not name.startswith("paraformerasr")]
    print("\nCPU: ms for each chunk of 600 ms and stream. RTF: CPU time over speech. p50, p95: ms from when the chunk")
    print("of every stream is there to a stream's text. /: how many times as much the peer takes.\n")
    print(f"{'streams':>7}  {'':26} {'CPU':>7} {'RTF':>7} {'p50':>8} {'p95':>8} {'peak MB':>8}",
          *(f"{'/ ' + peer:>19}" for peer in peers))
    for streams in next(iter(medians.values())):
        for name, rows in medians.items():
            row = rows[streams]
            ratios = [medians[peer][streams]["cpu_ms"] / row["cpu_ms"] for peer in peers]
            print(f"{streams:>7}  {name:26} {row['cpu_ms']:7.2f} {row['cpu_rtf']:7.4f} {row['p50_ms']:8.1f} "
                  f"{row['p95_ms']:8.1f} {row['peak_mb']:8.0f}", *(f"{ratio:18.2f}x" for ratio in ratios))
    print()
    for name, rows in medians.items():
        many = "16" if "16" in rows else list(rows)[-1]
        peak, end = (rows[many][figure] / rows["1"][figure] for figure in ("peak_mb", "rss_mb"))
        print(f"{name:26} memory of {many} streams over that of one: {peak:.2f} at its peak, {end:.2f} at the end")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", required=True)
    ap.add_argument("--audio", required=True)
    ap.add_argument("--streams-bench", required=True, help="the program of benches/streams.rs")
    ap.add_argument("--live-bench", required=True, help="the program of benches/live.rs")
    ap.add_argument("--out", required=True, type=Path)
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--live", action="store_true", help="also the most live streams")
    ap.add_argument("--only-live", action="store_true", help="nothing but these; other figures in --out stay")
    ap.add_argument("--seconds", type=int, default=120, help="length of the live runs that count")
    a = ap.parse_args()
    systems = {f"paraformerasr {precision}": [a.streams_bench, "--precision", precision] for precision in OURS}
    programs = {f"paraformerasr {precision}": ([a.live_bench, "--precision", precision], None) for precision in OURS}
    for package, peer, file in PEERS:
        if not (Path(a.model) / file).exists():
            print(f"{package} is left out: the model's folder has no {file}")
            continue
        name = f"{package} {version(package)}"
        systems[name] = [sys.executable, str(HERE / "streams.py"), peer]
        programs[name] = (None, [sys.executable, str(HERE / "live.py"), peer])
    file = a.out / "results.json"
    results = json.loads(file.read_text()) if a.only_live and file.exists() else {}
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True).stdout
    results.update(machine=machine(), onnxruntime=version("onnxruntime"), model=Path(a.model).name,
                   commit=commit.strip())
    a.out.mkdir(parents=True, exist_ok=True)

    def keep():
        file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")

    if not a.only_live:
        longest = max((QUICK if a.quick else FULL).values())
        most = max(QUICK if a.quick else FULL)
        subprocess.run([a.streams_bench, "--prepare", "--audio", a.audio, "--streams", str(most),
                        "--seconds", str(longest)], check=True)
        results.update(costs(a, systems))
        keep()
        table(results["medians"])
    if a.live or a.only_live:
        results["live"] = live(a, programs, results.get("medians", {}))
        keep()


if __name__ == "__main__":
    main()
