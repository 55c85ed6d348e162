"""The results of a suite as pictures; needs the extra ``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from tests.benchmarks.tables import by_plan, column_limit, limits_of, median, runs_of

_NOUNS = {"traces": "spans", "logs": "log records", "metrics": "data points"}
_DONE, _LIMIT, _SECOND = "#2f6f8f", "#c9d3d8", "#c8743c"
_STYLE: Any = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "benchmarks",  # the same results give the same file
}


def draw(results: Path, folder: Path) -> list[Path]:
    """Write the pictures into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"throughput.svg": _throughput, "batches.svg": _batches}
    paths = []
    with mpl.rc_context(_STYLE):
        for name, draw_on in pictures.items():
            figure, axes = plt.subplots(figsize=(7.6, 3.6), layout="constrained")
            draw_on(axes, results)
            figure.savefig(folder / name, metadata={"Date": None})
            plt.close(figure)
            paths.append(folder / name)
    return paths


def _throughput(axes: Axes, results: Path) -> None:
    limits = limits_of(results)
    plans = list(reversed(by_plan(runs_of(results, "throughput"))))
    names = [_name(some[0]) for some in plans]
    stored = [median(some, "stored_per_s") for some in plans]
    possible = [column_limit(limits, some[0]) or 0.0 for some in plans]
    axes.barh(names, possible, color=_LIMIT, height=0.62, label="ready columns into DuckDB")
    axes.barh(names, stored, color=_DONE, height=0.36, label="stored and queryable, end to end")
    for place, rate in enumerate(stored):
        axes.annotate(
            f"{rate:,.0f}",
            (rate, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_xlabel("records a second, 512 a request")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(axis="y", length=0)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=2)


def _batches(axes: Axes, results: Path) -> None:
    plans = by_plan(runs_of(results, "batch"))
    rates = {(some[0]["transport"], some[0]["batch"]): median(some, "stored_per_s") for some in plans}
    sizes = sorted({size for _, size in rates})
    for transport, colour, label in (("grpc", _DONE, "gRPC"), ("http", _SECOND, "HTTP")):
        own = [(size, rates[transport, size]) for size in sizes if (transport, size) in rates]
        if not own:
            continue
        axes.plot(*zip(*own, strict=True), color=colour, marker="o", label=label)
        for size, rate in own:
            # The higher one's label stands above its point, the lower one's below.
            is_highest = rate == max(each for (_, other), each in rates.items() if other == size)
            axes.annotate(
                f"{rate:,.0f}", (size, rate), xytext=(0, 8 if is_highest else -16), textcoords="offset points",
                ha="center", fontsize=8.5, color=colour,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.minorticks_off()
    axes.margins(x=0.08, y=0.2)
    axes.set_xlabel("realistic spans in a request")
    axes.set_ylabel("stored spans a second")
    axes.grid(axis="y", color="#e6eaec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower right")


def _name(run: dict[str, Any]) -> str:
    return f"{run['payload']} {_NOUNS[run['signal']]}" + (", HTTP" if run["transport"] == "http" else "")
