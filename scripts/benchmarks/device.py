"""What the devices of a process are. The suite asks a child: it must not hold a GPU's memory."""

from typing import Any

import jax

from scripts.terminal.devices import peak_of_all
from selfplay import devices
from training import cards


def measure(what: str, shrunk: bool) -> dict[str, Any]:
    """Returns platform, kind, number, peak of one (None where it is not known), and versions."""
    del what, shrunk
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
    """Returns such a rate of all devices as a share of what they can do; None if unknown."""
    peak = peak_of_all()
    return flops_per_second / peak if peak else None


def why_unknown(share: float | None) -> str:
    """Returns why a share of the peak is None; empty where it is known."""
    kind = jax.devices()[0].device_kind
    return "" if share is not None else f"the peak of {kind!r} is not known (training/cards.py)"
