"""What the worker can be asked, by name."""

from scripts.web.ops import analysis, compare, doctor, oversee, positions, records, replay, rules
from scripts.web.ops.question import Op

OPS: dict[str, Op] = {
    **positions.OPS,
    **analysis.OPS,
    **records.OPS,
    **compare.OPS,
    **replay.OPS,
    **rules.OPS,
    **oversee.OPS,
    **doctor.OPS,
}
