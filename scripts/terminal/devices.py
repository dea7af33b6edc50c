"""The devices that jax will see, set before the first of them starts."""

import os
import subprocess

import jax

from scripts.terminal.console import say
from training import cards

MAX_CPU_DEVICES = 8
SHARE_FLAG = "XLA_PYTHON_CLIENT_MEM_FRACTION"
USERS_OWN = (SHARE_FLAG, "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_ALLOCATOR")
SHARE = 0.92  # of a card that nobody else uses; the rest is CUDA's, cuDNN's and the driver's
MOST_USED = 0.05  # of a card, by which it counts as free: a desktop takes some
QUERY = ["nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]


def one_per_core() -> None:
    """Lets a CPU be one device per core: jax runs some convolutions on one core a device."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        jax.config.update("jax_num_cpu_devices", min(cores, MAX_CPU_DEVICES))


def take_free_cards() -> None:
    """Lets jax take more than its usual 75% of NVIDIA cards that nobody else uses.

    What the user has set about memory holds.
    """
    if any(name in os.environ for name in USERS_OWN) or not cards.DRIVER.exists():
        return
    if are_free(_memory_in_use()):
        os.environ[SHARE_FLAG] = str(SHARE)
        say(f"memory: {SHARE:.0%} of each card, which nobody else uses; {SHARE_FLAG} changes it")


def are_free(text: str) -> bool:
    """Returns whether nobody uses any of the cards, from what nvidia-smi says of their memory.

    Args:
      text: a line a card, `used, total` in MiB.
    """
    try:
        memory = [tuple(map(float, line.split(","))) for line in text.splitlines()]
    except ValueError:  # as `[N/A]`, of cards that share the host's memory
        return False
    return bool(memory) and all(used < MOST_USED * total for used, total in memory)


def _memory_in_use() -> str:
    try:
        return subprocess.run(QUERY, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def peak_of_all() -> float | None:
    """Returns the FLOP/s that the devices can do at most together; None where it is not known."""
    each = cards.peak(jax.devices()[0].device_kind)
    return each * len(jax.devices()) if each else None
