"""Bar charts as SVG, without scripts and outside resources, for light and dark pages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 800
LABELS = 300
"""The width of the labels, left of the bars."""
VALUES = 80
"""The room for the last value, right of the bars."""
TOP = 70
ROW = 30
BAR = 16
STYLE = """
    text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
    .page { fill: #ffffff } .title { font-size: 16px; font-weight: 600 }
    .note, .tick { font-size: 12px; fill: #59636e } .grid { stroke: #d1d9e0 } .axis { stroke: #59636e }
    .ours { fill: #0969da } .other { fill: #9aa4ae } .spread { stroke: #1f2328; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
        text { fill: #f0f6fc } .page { fill: #0d1117 } .note, .tick { fill: #9198a1 } .grid { stroke: #2f353d }
        .axis { stroke: #9198a1 } .ours { fill: #4493f8 } .other { fill: #5b646e } .spread { stroke: #f0f6fc }
    }
"""


@dataclass(frozen=True)
class Bar:
    """A value and its quartiles. Those of this project have a colour of their own."""

    label: str
    value: float
    low: float
    high: float
    ours: bool = False


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Round values that span the range: at most so many, with steps of 1, 2 or 5 times a power of ten."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / most))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    last = max(last, first + 1)
    return [round(number * step, 9) for number in range(first, last + 1)]


def chart(title: str, note: str, bars: Sequence[Bar], unit: str = "") -> str:
    """Horizontal bars from zero, with a line from the lower to the upper quartile."""
    scale = ticks(min(0.0, *(bar.low for bar in bars)), max(bar.high for bar in bars))
    bottom = TOP + ROW * len(bars)
    height = bottom + 34

    def x(value: float) -> float:
        share = (value - scale[0]) / (scale[-1] - scale[0])
        return round(LABELS + share * (WIDTH - LABELS - VALUES), 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text class="title" x="20" y="28">{escape(title)}</text>',
        f'<text class="note" x="20" y="48">{escape(note)}</text>',
    ]
    for tick in scale:
        kind = "grid" if tick else "axis"
        lines.append(f'<line class="{kind}" x1="{x(tick)}" x2="{x(tick)}" y1="{TOP - 6}" y2="{bottom}"/>')
        lines.append(f'<text class="tick" x="{x(tick)}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    for number, bar in enumerate(bars):
        middle = TOP + ROW * number + ROW // 2
        left, right = sorted((x(0), x(bar.value)))
        kind = "ours" if bar.ours else "other"
        lines += [
            f'<text class="label" x="{LABELS - 12}" y="{middle + 5}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{kind}" x="{left}" y="{middle - BAR // 2}" width="{round(right - left, 1)}" height="{BAR}"/>',
            f'<line class="spread" x1="{x(bar.low)}" x2="{x(bar.high)}" y1="{middle}" y2="{middle}"/>',
            f'<text class="value" x="{max(right, x(bar.high)) + 8}" y="{middle + 5}">{round(bar.value, 2) + 0.0:.2f}{unit}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
