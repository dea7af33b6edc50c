"""A fleet's line of metrics, in words."""

from training.metrics import FleetLine


def fleet(line: FleetLine) -> str:
    """Returns a fleet's line as a clause."""
    parts = [
        f"fleet {len(line.workers)} worker{'s' * (len(line.workers) != 1)}",
        f"{line.rate:,.0f} rows/s",
    ]
    if line.workers:
        parts.append(f"lag {max(worker.lag for worker in line.workers)} steps")
    if line.refused:
        parts.append(f"refused {line.refused}")
    if line.duplicates:
        parts.append(f"duplicates {line.duplicates}")
    if line.audited:
        parts.append(f"audited {line.audited}")
    if line.is_learner_bound:
        parts.append(f"learner-bound: reuse {line.reuse:.1f} of {line.wanted_reuse:g}")
    return ", ".join(parts)
