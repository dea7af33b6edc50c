"""What the worker can be asked, by name."""

from scripts.web.ops import analysis, doctor, oversee, positions, rules
from scripts.web.ops.common import Op

OPS: dict[str, Op] = {
    **positions.OPS,
    **analysis.OPS,
    **rules.OPS,
    **oversee.OPS,
    **doctor.OPS,
}
