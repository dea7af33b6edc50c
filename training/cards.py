"""Peak FLOP/s of accelerators, by the name that jax gives them.

Dense bfloat16 products with float32 sums, in FLOP/s of one device, from the vendors' data sheets;
where these tell of sparse products alone, half of that. Cards without bfloat16 (T4, V100) and what
is not listed have no peak: a share of an unknown peak is not shown.
"""

import pathlib
import re

# By what a device's kind holds; of several, the first. Variants stand before the card that they
# are slower than.
PEAKS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,  # SXM
    "H200": 989e12,
    "GH200": 989e12,
    "GB200": 2500e12,
    "B200": 2250e12,
    "A100": 312e12,
    "A10G": 70e12,
    "A10": 125e12,
    "A30": 165e12,
    "A40": 150e12,
    "RTX A6000": 155e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "RTX 3060": 25e12,
    "RTX 3080": 60e12,
    "RTX 3090": 71e12,
    "RTX 4070": 58e12,
    "RTX 4080": 97e12,
    "RTX 4090": 165e12,
    "RTX 5090": 210e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,  # v5p
    "TPU v6": 918e12,  # Trillium, or v6e
}
OTHERS = r"\b(Ti|SUPER|Laptop|Max-Q|MIG)\b"  # slower or faster than the card, or a part of it
DRIVER = pathlib.Path("/proc/driver/nvidia/version")


def peak(kind: str) -> float | None:
    """Returns the dense bfloat16 FLOP/s of a device of `kind`; None where it is not known."""
    for name, flops in PEAKS.items():
        if re.search(rf"\b{re.escape(name)}\b(?!.*{OTHERS})", kind, re.IGNORECASE):
            return flops
    return None


def driver() -> str:
    """Returns the version of NVIDIA's driver, empty where there is none."""
    try:
        told = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", DRIVER.read_text(errors="replace"))
    except OSError:
        return ""
    return told[0] if told else ""
