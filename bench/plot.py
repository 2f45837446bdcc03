#!/usr/bin/env python3
"""Draws the read-pair figures of locks_bench as scaling curves: one SVG.

    locks_bench --csv r.csv && bench/plot.py r.csv read_pair.svg [placement]

Throughput over threads, both axes logarithmic, with the 10th to 90th percentile of the
rounds as a bar. The dashed line is perfect scaling of the first lock of the file.
"""
import csv
import math
import sys
from collections import defaultdict
from html import escape

WIDTH, HEIGHT = 960, 600
LEFT, RIGHT, TOP, BOTTOM = 70, 290, 60, 60
COLOURS = ("#d62728 #1f77b4 #2ca02c #ff7f0e #9467bd #8c564b #e377c2 #7f7f7f #bcbd22 "
           "#17becf #393b79 #637939 #843c39 #7b4173").split()


def read_rows(path, placement):
    """{lock: [(threads, Mops/s, low, high)]} and the comment lines of the file."""
    with open(path, encoding="utf-8") as file:
        lines = file.readlines()
    notes = [line[1:].strip() for line in lines if line.startswith("#")]
    curves = defaultdict(list)
    cpus = cpus_of(notes)
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        if row["question"] != "read pair" or row["placement"] != placement:
            continue
        threads = int(row["threads"])
        at_once = min(threads, cpus or threads)
        rate = [at_once * 1e3 / float(row[key]) for key in ("median", "high", "low")]
        curves[row["lock"]].append((threads, *rate))
    return curves, notes


def cpus_of(notes):
    words = notes[0].split() if notes else []
    for before, word in zip(words, words[1:]):
        if word.startswith("CPUs,"):
            return int(before)
    return 0


class Axes:
    """Maps threads and rates to points of the picture, both logarithmically."""

    def __init__(self, curves):
        points = [point for curve in curves.values() for point in curve]
        self.most = max(max(point[0] for point in points), 2)
        rates = [value for point in points for value in point[1:] if value > 0]
        self.bottom = math.floor(math.log10(min(rates)))
        self.top = math.ceil(math.log10(max(rates)))

    def x(self, threads):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(threads) / math.log(self.most)

    def y(self, rate):
        part = (math.log10(rate) - self.bottom) / max(self.top - self.bottom, 1)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def line(x1, y1, x2, y2, more):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {more}/>'


def grid(axes, threads):
    for power in range(axes.bottom, axes.top + 1):
        y = axes.y(10.0**power)
        yield line(LEFT, y, WIDTH - RIGHT, y, 'stroke="#ddd"')
        yield text(LEFT - 8, y + 4, f"{10.0 ** power:g}", 'text-anchor="end"')
    for count in threads:
        x = axes.x(count)
        yield line(x, TOP, x, HEIGHT - BOTTOM, 'stroke="#eee"')
        yield text(x, HEIGHT - BOTTOM + 18, str(count), 'text-anchor="middle"')
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18, "threads", 'text-anchor="middle"')
    yield text(LEFT - 50, TOP - 12, "million read pairs a second")


def style_of(index, lock):
    colour = COLOURS[index % len(COLOURS)]
    dash = ' stroke-dasharray="2 3"' if lock.startswith("limit") else ""
    width = 3 if lock == "memhp::percpu_rw_semaphore" else 1.3
    return colour, f'fill="none" stroke="{colour}" stroke-width="{width}"{dash}'


def curve_of(axes, curve, colour, style):
    points = " ".join(f"{axes.x(p[0]):.1f},{axes.y(p[1]):.1f}" for p in curve)
    yield f'<polyline points="{points}" {style}/>'
    for threads, _, low, high in curve:
        x = axes.x(threads)
        yield line(x, axes.y(low), x, axes.y(high), f'stroke="{colour}" opacity="0.4"')


def legend(curves):
    """Names beside the picture, the fastest at the right end on top."""
    order = sorted(curves, key=lambda lock: -curves[lock][-1][1])
    for place, lock in enumerate(order):
        colour, style = style_of(list(curves).index(lock), lock)
        y = TOP + 17 * place
        yield line(WIDTH - RIGHT + 14, y - 4, WIDTH - RIGHT + 40, y - 4, style)
        yield text(WIDTH - RIGHT + 46, y, lock, f'fill="{colour}"')


def draw(curves, notes):
    axes = Axes(curves)
    first = next(iter(curves.values()))
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           'font-family="sans-serif" font-size="12">')
    yield '<rect width="100%" height="100%" fill="white"/>'
    yield text(20, 22, "Read lock and unlock: " + "; ".join(notes), 'font-size="13"')
    yield from grid(axes, sorted({p[0] for curve in curves.values() for p in curve}))
    most = min(axes.most, 10**axes.top / first[0][1])
    yield line(axes.x(1), axes.y(first[0][1]), axes.x(most), axes.y(first[0][1] * most),
               'stroke="#999" stroke-dasharray="6 4"')
    for index, (lock, curve) in enumerate(curves.items()):
        yield from curve_of(axes, curve, *style_of(index, lock))
    yield from legend(curves)
    yield "</svg>"


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    curves, notes = read_rows(sys.argv[1], (sys.argv[3:] or ["all"])[0])
    if not curves:
        sys.exit(f"{sys.argv[1]}: no read pairs of that placement in it")
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write("\n".join(draw(curves, notes)) + "\n")


main()
