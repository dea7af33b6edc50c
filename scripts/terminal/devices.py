"""The devices that jax will see, set before the first of them starts."""

import os

import jax

MAX_CPU_DEVICES = 8


def one_per_core() -> None:
    """Lets a CPU be one device per core: jax runs some convolutions on one core a device."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        jax.config.update("jax_num_cpu_devices", min(cores, MAX_CPU_DEVICES))
