"""Questions that search."""

from scripts.web.ops.common import Op

OPS: dict[str, Op] = {}
