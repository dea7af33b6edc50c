"""What the worker can be asked, by name."""

from scripts.web.ops import analysis, doctor, oversee, positions, records, rules
from scripts.web.ops.common import Op

OPS: dict[str, Op] = {
    **positions.OPS,
    **analysis.OPS,
    **records.OPS,
    **rules.OPS,
    **oversee.OPS,
    **doctor.OPS,
}
