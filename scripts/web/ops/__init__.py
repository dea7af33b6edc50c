"""What the worker can be asked, by name."""

from scripts.web.ops import analysis, compare, positions, replay
from scripts.web.ops.common import Op

OPS: dict[str, Op] = {**positions.OPS, **analysis.OPS, **compare.OPS, **replay.OPS}
