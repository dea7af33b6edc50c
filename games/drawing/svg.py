"""Shapes as SVG text: a few elements, a few attributes, everything escaped.

Nothing of a game gets in but as text or as a number, so that no game can write markup. Colours are
presentation attributes, which any style sheet overrides by the classes.
"""

import functools
import math
import re
from collections.abc import Iterable

ELEMENTS = ("svg", "g", "rect", "circle", "line", "path", "polygon", "text", "title")
# What XML 1.0 has no way to write, and the halves of characters that Python lets pass.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
INK, PAPER, MARKED = "#222222", "#f6f4ee", "#ffe08a"


def escape(text: str) -> str:
    """Returns text as XML holds it, in elements and attributes; � for what it cannot hold."""
    return UNWRITABLE.sub("�", text).translate(ESCAPES)


def element(tag: str, content: str = "", /, **attributes: str | float | None) -> str:
    """Returns an element; `_` in names of attributes stands for `-`, None leaves one out.

    Args:
      content: XML, escaped already.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def document(left: float, top: float, width: float, height: float, parts: Iterable[str]) -> str:
    """Returns a whole SVG."""
    box = " ".join(_value(number) for number in (left, top, width, height))
    return element(
        "svg",
        "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=box,
        class_="board",
        role="img",
    )


def text(x: float, y: float, content: str, size: float, class_: str, fill: str = INK) -> str:
    """Returns text centred on a point."""
    return element(
        "text",
        escape(content),
        x=x,
        y=y + 0.35 * size,  # the baseline under what is centred, the same in every browser
        class_=class_,
        font_family="monospace",
        font_size=size,
        text_anchor="middle",
        fill=fill,
    )


def rect(x: float, y: float, width: float, height: float, **attributes: str | float) -> str:
    """Returns a rectangle."""
    return element("rect", x=x, y=y, width=width, height=height, **attributes)


def circle(x: float, y: float, radius: float, **attributes: str | float) -> str:
    """Returns a circle."""
    return element("circle", cx=x, cy=y, r=radius, **attributes)


def spot(tag: str, key: str, name: str, /, **attributes: str | float) -> str:
    """Returns what is clicked: an element that does not show, above what does.

    Args:
      name: shown where the pointer rests, if it is not empty.
    """
    title = element("title", escape(name)) if name else ""
    return element(tag, title, class_="spot", data_spot=key, fill="transparent", **attributes)


@functools.lru_cache(maxsize=4096)  # a picture has the same few over and over
def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(value)
    if not math.isfinite(value):
        raise ValueError(f"a drawing's coordinates must be finite, got {value}")
    return f"{value:.2f}".rstrip("0").rstrip(".")
