"""Draws results.json, which compare.py wrote: plot.py FOLDER writes FOLDER/results.svg."""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = ["#0b6e4f", "#6bbf9c", "#c1666b", "#d4a373"]
PANELS = [("cpu_ms", "CPU, ms for each chunk of 600 ms"), ("p95_ms", "95 % of texts are there after, ms"),
          ("peak_mb", "peak memory, MB")]


def bars(axes, title, groups, rows):
    """`rows`: name to a value for each group."""
    width = 0.8 / len(rows)
    for at, (name, values) in enumerate(rows.items()):
        places = [group + (at - (len(rows) - 1) / 2) * width for group in range(len(groups))]
        drawn = axes.bar(places, values, width, label=name, color=COLOURS[at % len(COLOURS)])
        axes.bar_label(drawn, fmt=lambda value: f"{value:.3g}" if value < 1000 else f"{value:.0f}", fontsize=6, padding=1)
    axes.set_title(title, fontsize=9)
    axes.set_xticks(range(len(groups)), groups, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def main():
    folder = Path(sys.argv[1])
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    medians, live = results.get("medians", {}), results.get("live", {})
    panels = [(title, figure) for figure, title in PANELS] if medians else []
    columns = 2 if panels else 1
    rows = (len(panels) + bool(live) + 1) // columns if panels else 1
    plt.rcParams.update({"svg.hashsalt": "paraformerasr", "font.family": "sans-serif"})
    figure, grid = plt.subplots(rows, columns, figsize=(4.2 * columns, 2.7 * rows + 0.6), squeeze=False)
    all_axes = list(grid.flat)
    for axes, (title, name) in zip(all_axes, panels):
        streams = list(next(iter(medians.values())))
        bars(axes, title, streams, {system: [rows[n][name] for n in streams] for system, rows in medians.items()})
        axes.set_xlabel("streams", fontsize=8)
    for axes in all_axes[len(panels) + bool(live):]:
        axes.set_axis_off()
    if live:
        held = {name: [found["streams"]] for name, found in live.items()}
        bars(all_axes[len(panels)], "live streams kept up with", [""], held)
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), fontsize=8, frameon=False)
    title = f"{results['machine']}; model \"{results['model']}\", ONNX Runtime {results['onnxruntime']}"
    figure.suptitle(title, fontsize=9)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(folder / "results.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
