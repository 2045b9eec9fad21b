"""The arithmetic, on arrays of numbers. No text, no files."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import List, Sequence, Tuple

_BINS_WANTED = 12
_SORTED_LIST_MAX = 5_000_000


def mean(numbers: Sequence[float]) -> float:
    """The arithmetic mean of at least one number."""
    return math.fsum(numbers) / len(numbers)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the two nearest of the sorted numbers."""
    position = (len(ordered) - 1) * share
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def in_order(numbers: Sequence[float]) -> Sequence[float]:
    """The numbers sorted.

    A sorted list takes four times the memory of the array. A file that holds
    very many numbers within the size limit holds short ones, which repeat, so
    those are counted instead.
    """
    if len(numbers) <= _SORTED_LIST_MAX:
        return sorted(numbers)
    counts = Counter(numbers)
    ordered = array("d")
    for number in sorted(counts):
        ordered.extend(array("d", [number]) * counts[number])
    return ordered


def median(numbers: Sequence[float]) -> float:
    """The middle number, or the mean of the two in the middle."""
    return quantile(in_order(numbers), 0.5)


def deviation(numbers: Sequence[float]) -> float:
    """The sample standard deviation; 0 for a single number."""
    if len(numbers) < 2:
        return 0.0
    centre = mean(numbers)
    return math.sqrt(math.fsum((number - centre) ** 2 for number in numbers) / (len(numbers) - 1))


AGGREGATES = {"sum": math.fsum, "mean": mean, "median": median, "min": min, "max": max}


def pearson(first: Sequence[float], second: Sequence[float]) -> Tuple[float, float, float]:
    """(correlation, slope, intercept); ZeroDivisionError when one is constant."""
    mean_x, mean_y = mean(first), mean(second)
    xy = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(first, second))
    xx = math.fsum((x - mean_x) ** 2 for x in first)
    yy = math.fsum((y - mean_y) ** 2 for y in second)
    slope = xy / xx
    correlation = xy / (math.sqrt(xx) * math.sqrt(yy))
    return max(-1.0, min(1.0, correlation)), slope, mean_y - slope * mean_x


def histogram(numbers: Sequence[float]) -> List[Tuple[float, float, int]]:
    """(from, to, count) for bins with round edges that cover every number."""
    low, high = min(numbers), max(numbers)
    if low == high:
        return [(low, high, len(numbers))]
    step = round_step((high - low) / _BINS_WANTED)
    start = math.floor(low / step) * step
    bins = int((high - start) / step) + 1
    counts = [0] * bins
    for number in numbers:
        counts[min(bins - 1, max(0, int((number - start) / step)))] += 1
    return [(start + step * index, start + step * (index + 1), count) for index, count in enumerate(counts)]


def round_step(step: float) -> float:
    """The next larger of 1, 2, 2.5, 5 or 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    for factor in (1, 2, 2.5, 5):
        if step <= factor * power * (1 + 1e-9):
            return factor * power
    return 10 * power
