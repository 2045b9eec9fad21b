"""A chart as a self-contained SVG document.

Colours are readable on white and not told apart by hue alone; the document
carries a title and a description for people who do not see it. Everything
that comes from the data is escaped, and nothing outside is referred to.
"""

from __future__ import annotations

import math
import re
from typing import List, Tuple
from xml.sax.saxutils import escape

from figures import format_number, shorten
from statistic import round_step

_WIDTH = 760
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 60, 60
_HEIGHT = 440
_BAR_HEIGHT = 24
_BARS_MAX = 24
_LINE_POINTS_MAX = 2_000
_LABEL_WIDTH = 190
_INK, _FAINT, _FILL, _ACCENT = "#1f2933", "#d5dbe1", "#2f6690", "#c2541b"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def draw_chart(chart: dict, title: str, description: str) -> str:
    """The SVG text of a chart as `results` describes it."""
    draw = {"bars": _bars, "line": _line, "histogram": _histogram, "scatter": _scatter}[chart["kind"]]
    height, body = draw(chart)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" '
        f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{_INK}">',
        f'<title id="title">{_clean(title)}</title>',
        f'<desc id="desc">{_clean(description)}</desc>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(20, 28, shorten(title, 86), size=16, weight="600"),
    ]
    return "\n".join(head + body + ["</svg>"]) + "\n"


# Bars


def _bars(chart: dict) -> Tuple[int, List[str]]:
    labels, values, remark = _capped(chart)
    left, right = 20 + _LABEL_WIDTH, _WIDTH - 90
    bottom = _TOP + len(values) * _BAR_HEIGHT
    scale = Scale(min(0.0, *values), max(0.0, *values), left, right)
    body = _vertical_grid(scale, _TOP, bottom)
    for row, (label, value) in enumerate(zip(labels, values)):
        top = _TOP + row * _BAR_HEIGHT
        start, end = sorted((scale(0), scale(value)))
        body.append(_rect(start, top + 4, end - start, _BAR_HEIGHT - 8))
        body.append(_text(left - 8, top + 17, shorten(label, 26), anchor="end"))
        body.append(_text(end + 6, top + 17, format_number(value), size=12))
    body.append(_text((left + right) / 2, bottom + 40, shorten(chart["x"], 70), anchor="middle"))
    if remark:
        body.append(_text(20, bottom + 62, remark, size=12))
    return bottom + (74 if remark else 56), body


def _capped(chart: dict) -> Tuple[list, list, str]:
    """At most _BARS_MAX bars; what adds up is drawn as "other"."""
    labels, values = list(chart["labels"]), list(chart["values"])
    hidden = len(labels) - _BARS_MAX
    if hidden <= 0:
        return labels, values, ""
    if not chart.get("additive"):
        return labels[:_BARS_MAX], values[:_BARS_MAX], f"{hidden:,} more groups are in the table."
    rest = sum(values[_BARS_MAX - 1 :])
    labels = labels[: _BARS_MAX - 1] + [f"other ({hidden + 1:,} groups)"]
    return labels, values[: _BARS_MAX - 1] + [rest], ""


# Lines, histograms, points


def _line(chart: dict) -> Tuple[int, List[str]]:
    step = math.ceil(len(chart["values"]) / _LINE_POINTS_MAX)
    labels, values = chart["labels"][::step], chart["values"][::step]
    across = Scale(0, len(values) - 1, _LEFT + 20, _WIDTH - _RIGHT - 20, rounded=False)
    up = Scale(min(values), max(values), _HEIGHT - _BOTTOM, _TOP)
    body = _horizontal_grid(up) + _axis_names(chart)
    points = " ".join(f"{across(index):.1f},{up(value):.1f}" for index, value in enumerate(values))
    body.append(f'<polyline points="{points}" fill="none" stroke="{_FILL}" stroke-width="2"/>')
    if len(values) <= 40:
        body += [_dot(across(index), up(value), 3) for index, value in enumerate(values)]
    every = math.ceil(len(labels) / 8)
    for index in range(0, len(labels), every):
        label = shorten(labels[index], 12)
        body.append(_text(across(index), _HEIGHT - _BOTTOM + 18, label, anchor="middle", size=12))
    return _HEIGHT, body


def _histogram(chart: dict) -> Tuple[int, List[str]]:
    bins = chart["bins"]
    low, high = bins[0][0], bins[-1][1]
    if low == high:
        low, high = low - 0.5, high + 0.5
        bins = [(low, high, bins[0][2])]
    across = Scale(low, high, _LEFT, _WIDTH - _RIGHT, rounded=False)
    up = Scale(0, max(count for _, _, count in bins), _HEIGHT - _BOTTOM, _TOP)
    body = _horizontal_grid(up) + _axis_names(chart)
    for start, end, count in bins:
        left, right = across(start), across(end)
        body.append(_rect(left + 1, up(count), max(1.0, right - left - 2), up(0) - up(count)))
    body += _horizontal_labels(across)
    return _HEIGHT, body


def _scatter(chart: dict) -> Tuple[int, List[str]]:
    points = chart["points"]
    across = Scale(min(x for x, _ in points), max(x for x, _ in points), _LEFT, _WIDTH - _RIGHT)
    up = Scale(min(y for _, y in points), max(y for _, y in points), _HEIGHT - _BOTTOM, _TOP)
    body = _horizontal_grid(up) + _horizontal_labels(across) + _axis_names(chart)
    body += [_dot(across(x), up(y), 2.5, opacity=0.6) for x, y in points]
    slope, intercept = chart["line"]
    ends = [(x, slope * x + intercept) for x in (across.low, across.high)]
    ends = [(across(x), min(_HEIGHT - _BOTTOM, max(_TOP, up(y)))) for x, y in ends]
    body.append(
        f'<line x1="{ends[0][0]:.1f}" y1="{ends[0][1]:.1f}" x2="{ends[1][0]:.1f}" y2="{ends[1][1]:.1f}" '
        f'stroke="{_ACCENT}" stroke-width="2" stroke-dasharray="6 4"/>'
    )
    return _HEIGHT, body


# Scales and marks


class Scale:
    """Maps numbers to pixels, with round ticks."""

    def __init__(self, low: float, high: float, start: float, end: float, rounded: bool = True) -> None:
        if low == high:
            spare = abs(low) / 10 or 1.0
            low, high = low - spare, high + spare
        self.step = round_step((high - low) / 6)
        if rounded:
            low = math.floor(low / self.step + 1e-9) * self.step
            high = math.ceil(high / self.step - 1e-9) * self.step
        self.low, self.high = low, high
        self._start, self._end = start, end

    def __call__(self, number: float) -> float:
        return self._start + (number - self.low) / (self.high - self.low) * (self._end - self._start)

    def ticks(self) -> List[float]:
        """Round numbers within the scale."""
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [float(f"{index * self.step:.10g}") for index in range(first, last + 1)]


def _vertical_grid(scale: Scale, top: float, bottom: float) -> List[str]:
    body = []
    for tick in scale.ticks():
        x = scale(tick)
        body.append(_rule(x, top, x, bottom, _INK if tick == 0 else _FAINT))
        body.append(_text(x, bottom + 18, _tick_label(tick), anchor="middle", size=12))
    return body


def _horizontal_grid(scale: Scale) -> List[str]:
    body = []
    for tick in scale.ticks():
        y = scale(tick)
        body.append(_rule(_LEFT, y, _WIDTH - _RIGHT, y, _INK if tick == 0 else _FAINT))
        body.append(_text(_LEFT - 8, y + 4, _tick_label(tick), anchor="end", size=12))
    return body


def _horizontal_labels(scale: Scale) -> List[str]:
    y = _HEIGHT - _BOTTOM + 18
    return [_text(scale(tick), y, _tick_label(tick), anchor="middle", size=12) for tick in scale.ticks()]


def _tick_label(tick: float) -> str:
    """Short enough for an axis: 2.5, 1,000, 1.5e+09."""
    return f"{tick:,.10g}" if abs(tick) < 1e7 else f"{tick:.3g}"


def _axis_names(chart: dict) -> List[str]:
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    return [
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 16, shorten(chart["x"], 70), anchor="middle"),
        f'<g transform="rotate(-90 18 {middle:.1f})">'
        + _text(18, middle, shorten(chart["y"], 42), anchor="middle")
        + "</g>",
    ]


def _rect(x: float, y: float, width: float, height: float) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{_FILL}"/>'


def _dot(x: float, y: float, radius: float, opacity: float = 1.0) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{_FILL}" fill-opacity="{opacity}"/>'


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 13, weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}">{_clean(text)}</text>'
    )


def _clean(text: str) -> str:
    """Escaped, and without characters that XML does not allow."""
    return escape(_NOT_XML.sub("\ufffd", text))
