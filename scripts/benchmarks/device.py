"""The devices of this process, and their peak FLOP/s."""

from typing import Any

import jax

from scripts.terminal.devices import peak_of_all
from selfplay import devices
from training import cards


def measure() -> dict[str, Any]:
    """Returns platform, kind, number, peak FLOP/s of one (None: not known), and versions."""
    first = jax.devices()[0]
    return {
        "platform": first.platform,
        "kind": devices.kind(),
        "count": len(jax.devices()),
        "peak": cards.peak(first.device_kind),
        "driver": cards.driver() if first.platform == "gpu" else "",
        "jax": jax.__version__,
    }


def share_of_peak(flops_per_second: float) -> float | None:
    """Returns a rate of all devices together as a share of their peak; None if that is unknown."""
    peak = peak_of_all()
    return flops_per_second / peak if peak else None
