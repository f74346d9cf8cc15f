"""The pictures of ``plot.py``: which rows each of them shows, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.lib.report import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#00796b", "#f57c00", "#5c6bc0", "#8d6e63", "#c2185b", "#7cb342")

Series = tuple[str, Sequence[float]]
"""What is drawn in one colour: its name, and a number for each label."""


@dataclass(frozen=True)
class Plot:
    """One picture: the rows that have all of ``fields``, drawn by ``draw``."""

    name: str
    fields: frozenset[str]
    draw: Callable[[Axes, Sequence[Row]], None]


def first_byte(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the first byte of the embedded engine by streams: the median, and up to p99."""
    flat = [
        {**row, **{f"first_{name}_ms": 1e3 * row["first_byte"][name] for name in ("p50", "p99")}}
        for row in rows
    ]
    _by_streams(axes, flat)
    axes.set(title="Embedded engine on two cores")


def crowd(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the first byte by streams at the pace of a GPU, and mark where playback waits."""
    _by_streams(axes, rows)
    late = [row for row in rows if row["underruns"]]
    axes.scatter(
        [row["streams"] for row in late],
        [row["first_p50_ms"] for row in late],
        marker="x", s=90, color="black", zorder=3, label="playback waits",
    )  # fmt: skip
    axes.set(title="One worker on two cores, steps as long as a GPU's")
    axes.legend()


def against_upstream(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how many times as fast as upstream's package a step is, by model, dtype and streams."""
    own = [row for row in rows if "ggml" not in row]
    labels = [f"{row['model']}, {row['dtype']}\n{_counted(row)}" for row in own]
    bars = axes.bar(labels, [row["patch_ratio"] for row in own], color=COLOURS[0])
    axes.bar_label(bars, fmt="%.1f×")
    worst = [row["patch_worst"] for row in own]
    axes.scatter(labels, worst, color=COLOURS[1], zorder=3, label="worst repeat")
    _line(axes, 1)
    axes.set(ylabel="times as fast", title="VoxCPM on two cores, against upstream's package")
    axes.legend()


def beside(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the seconds of a step alone and beside busy processes."""
    names = {"torch": "PyTorch's operators", "ours_patch": "C++", "beside": "C++, one busy process"}
    series = _series(rows, names)
    _bars(axes, [_counted(row) for row in rows], series)
    axes.set(ylabel="s for 0.16 s of audio each", title="VoxCPM1.5, int8, 10 steps, two cores")


def long_text(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how long a text plays, and how long its synthesis and the silence in it last."""
    names = {"audio": "audio", "end": "to its last sample", "silent": "silent between segments"}
    own = [row for row in rows if row["audio"]]
    series = _series(own, names)
    labels = [f"{row['characters']} characters\n{row['side']}" for row in own]
    _bars(axes, labels, series, "%.1f")
    axes.set(ylabel="s", title="VoxCPM1.5 on two cores, one text")


def encoders(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how many times less than pydub's the work of an encoder is, by format."""
    names = {"cpu": "processor time", "first": "first byte, all audio at once"}
    formats = list(dict.fromkeys(row["format"] for row in rows))
    found = {(row["figure"], row["format"]): row["ms_ratio"] for row in rows}
    series = [(name, [found[key, one] for one in formats]) for key, name in names.items()]
    _bars(axes, formats, series, "%.2g×")
    _line(axes, 1)
    axes.set(yscale="log", ylabel="times less", title="Encoders, against pydub")


def loop(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the time in Python for a stream between two steps, by streams."""
    for colour, (name, own) in zip(COLOURS, _groups(rows, "scene"), strict=False):
        axes.plot(_streams(own), [row["row"] for row in own], "o-", color=colour, label=name)
    _stream_axis(axes, rows)
    axes.set(ylim=0, ylabel="µs for a stream", title="Engine loop, between two steps")
    axes.legend(title="clients")


def hostile(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how much longer a client's slowest first bytes take beside each attack."""
    known = [row for row in rows if row["ratio"] is not None][::-1]
    bars = axes.barh(
        [row["attack"] for row in known], [row["ratio"] for row in known], color=COLOURS[0]
    )
    axes.bar_label(bars, fmt=" %.2f")
    axes.axvline(1.2, color=COLOURS[1], linewidth=1, label="bar")
    axes.margins(x=0.15)
    axes.set(xlabel="p99 of the first byte, beside the attack to without it", title="Attacks")
    axes.legend()


def soak(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the memory of a worker by minute."""
    axes.plot(
        [row["minute"] for row in rows], [row["memory_mb"] for row in rows], "o-", color=COLOURS[0]
    )
    axes.set(ylim=0, xlabel="minute", ylabel="MB resident", title="A worker under load")


def text_path(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw how long a text is read, by its length."""
    for colour, (name, own) in zip(COLOURS, _groups(rows, "text"), strict=False):
        lengths = [row["characters"] for row in own]
        axes.plot(lengths, [row["whole"] for row in own], "o-", color=colour, label=f"{name}: all")
        axes.plot(
            lengths, [row["plan"] for row in own], "o--", color=colour, label=f"{name}: first words"
        )
    axes.set(xscale="log", yscale="log", xlabel="characters", ylabel="ms", title="Text")
    axes.legend()


def sessions(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the first sound of a text that comes token by token, by its first passage."""
    names = {"first_ms_p50": "median", "first_ms_p90": "p90"}
    series = _series(rows, names)
    _bars(axes, [row["text"] for row in rows], series, "%.0f")
    axes.set(ylabel="ms to the first sound", title="Sessions")


def sockets(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the first byte of an HTTP request without and beside voice agents."""
    names = {"calm_p50_ms": "without agents", "first_p50_ms": "beside them"}
    series = _series(rows, names)
    _bars(axes, [f"{row['engine']}\n{row['agents']} agents" for row in rows], series, "%.0f")
    axes.set(ylabel="ms to the first byte, median", title="HTTP beside WebSockets")


def mandarin(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the first sound and the longest gap of Chinese; the first row loads the network."""
    names = {"first_ms": "first sound", "gap_ms": "longest gap"}
    warm = rows[1:]
    series = _series(warm, names)
    labels = [f"{i}: {row['listeners']}" for i, row in enumerate(warm, start=1)]
    _bars(axes, labels, series, "%.0f")
    axes.set(xlabel="run: clients at once", ylabel="ms", title="Mandarin on two cores")


def ggml(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the seconds of a patch beside those of VoxCPM.cpp."""
    series = _series(rows, {"ours_patch": "ours, int8", "ggml_patch": "VoxCPM.cpp"})
    _bars(axes, [row["ggml"] for row in rows], series)
    axes.set(ylabel="s for 0.16 s of audio", title="VoxCPM1.5, 10 steps, two cores, one stream")


def start(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the seconds until an engine is ready: the first start, later ones, and upstream's."""
    series = _series(rows, {"imports": "imports", "engine": "engine"})
    _bars(axes, [row["start"] for row in rows], series, "%.1f")
    axes.set(ylabel="s", title="Start of VoxCPM1.5 on two cores")


PLOTS = (
    Plot("first-byte", frozenset({"format", "streams", "first_byte"}), first_byte),
    Plot("encoders", frozenset({"format", "figure", "ms_ratio"}), encoders),
    Plot("against-upstream", frozenset({"patch_ratio", "patch_worst", "dtype"}), against_upstream),
    Plot("beside-others", frozenset({"torch", "ours_patch", "beside"}), beside),
    Plot("against-voxcpm-cpp", frozenset({"ours_patch", "ggml_patch", "ggml"}), ggml),
    Plot("long-text", frozenset({"side", "characters", "silent"}), long_text),
    Plot("start", frozenset({"start", "imports", "engine"}), start),
    Plot("loop", frozenset({"scene", "streams", "row"}), loop),
    Plot("crowd", frozenset({"format", "first_p50_ms", "iteration_ms"}), crowd),
    Plot("hostile", frozenset({"attack", "ratio"}), hostile),
    Plot("soak", frozenset({"minute", "memory_mb"}), soak),
    Plot("text", frozenset({"text", "characters", "plan"}), text_path),
    Plot("sessions", frozenset({"text", "passage", "cut_ms"}), sessions),
    Plot("sockets", frozenset({"agents", "calm_p50_ms", "turns"}), sockets),
    Plot("mandarin", frozenset({"listeners", "gap_ms"}), mandarin),
)


def _by_streams(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the first byte by streams, a line for each format: the median, and up to p99."""
    for colour, (name, own) in zip(COLOURS, _groups(rows, "format"), strict=False):
        low, high = ([row[f"first_{one}_ms"] for row in own] for one in ("p50", "p99"))
        axes.plot(_streams(own), low, "o-", color=colour, label=name)
        axes.fill_between(_streams(own), low, high, color=colour, alpha=0.2)
    _stream_axis(axes, rows)
    axes.set(yscale="log", ylabel="ms to the first byte, median to p99")
    axes.legend()


def _groups(rows: Iterable[Row], field: str) -> list[tuple[str, list[Row]]]:
    """Return rows by the value of a field, in the order of their appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[field], []).append(row)
    return list(groups.items())


def _series(rows: Iterable[Row], names: Mapping[str, str]) -> list[Series]:
    """Return the series of fields; ``names``: by field."""
    found = list(rows)
    return [(name, [row[field] for row in found]) for field, name in names.items()]


def _streams(rows: Iterable[Row]) -> list[int]:
    return [row["streams"] for row in rows]


def _counted(row: Row) -> str:
    return "1 stream" if row["streams"] == 1 else f"{row['streams']} streams"


def _stream_axis(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set(xscale="log", xlabel="streams")
    axes.set_xticks(sorted(set(_streams(rows))))
    axes.minorticks_off()
    axes.xaxis.set_major_formatter("{x:.0f}")


def _bars(axes: Axes, labels: Sequence[str], series: Sequence[Series], form: str = "%.2f") -> None:
    """Draw bars, those of one label side by side, with their values."""
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series):
        at = [place + width * (number - (len(series) - 1) / 2) for place in range(len(labels))]
        bars = axes.bar(at, values, 0.95 * width, label=name, color=COLOURS[number])
        axes.bar_label(bars, fmt=form, fontsize="small")
    axes.set_xticks(range(len(labels)), labels)
    axes.margins(y=0.15)
    axes.legend()


def _line(axes: Axes, height: float) -> None:
    axes.axhline(height, color="gray", linewidth=1)
    axes.margins(y=0.15)
