"""Settings for all tests: warnings are errors (pyproject.toml), and shapes must match by rank."""

import atexit
import ctypes
import fcntl
import importlib.metadata
import os
import pathlib
import shutil
import sys
import tempfile

# Set before jax is imported, for all workers and for the commands that tests start too: a program
# is compiled once, and nothing is left in the home of who runs the tests.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    CACHE = tempfile.mkdtemp(prefix="selfplay-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
# The key that signs runs, for all workers alike, is no key of who runs the tests.
if "SELFPLAY_TESTS_HOME" not in os.environ:
    HOME = tempfile.mkdtemp(prefix="selfplay-tests-")
    os.environ["SELFPLAY_TESTS_HOME"] = os.environ["XDG_CONFIG_HOME"] = HOME
    atexit.register(shutil.rmtree, HOME, ignore_errors=True)
# Most of what the tests compute is compiling code that then runs for milliseconds: so LLVM does not
# optimise it, and XLA, where it still can, writes it the old, shorter way (an XLA that cannot stops
# at the flag) and as one module: to compile 32 parts of it apart costs a quarter of all the time.
# Its own passes are kept. `make test-all` sets this to false and leaves out nothing.
if "JAX_DISABLE_MOST_OPTIMIZATIONS" not in os.environ:
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
    if importlib.metadata.version("jaxlib").startswith("0.10."):
        flags = ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
        os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip()

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    jax.config.update("jax_num_cpu_devices", 2)  # so that everything is tested split over devices


@pytest.fixture(scope="module", autouse=True)
def programs_of_a_file():
    """Lets go of what a file has compiled: a worker that keeps all of it grows to 4 GB.

    glibc keeps what was freed in pieces, three quarters of it; macOS has no such function.
    """
    yield
    jax.clear_caches()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.fixture(scope="module")
def compile_in_haste():
    """For tests that compile so much that `make test-all` should not optimise it either."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def tiny_config():
    """A run of tic-tac-toe that takes seconds; do not change it in place."""
    from mcts import SearchConfig
    from selfplay.config import SelfPlayConfig
    from training.config import RunConfig
    from training.settings import EvaluationConfig, LearnerConfig, NetworkConfig, ReplayConfig

    return RunConfig(
        game="tic_tac_toe",
        iterations=4,
        network=NetworkConfig(blocks=1, channels=8, value_hidden=8),
        search=SearchConfig(simulations=4),
        self_play=SelfPlayConfig(batch=16, plies_per_call=6, random_opening_plies=2),
        replay=ReplayConfig(capacity=300, min_examples=40, samples_per_example=2.0),
        learner=LearnerConfig(batch=32),
        evaluation=EvaluationConfig(
            every=2, simulations=4, positions=64, games=16, gap_positions=0
        ),
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory):
    """The folder of a finished tiny run; do not write to it.

    The first worker that needs one trains it, and each has a copy of its own.
    """
    from training.evaluation.train_run import train_folder
    from training.storage.run_folder import RunFolder

    folder = RunFolder(pathlib.Path(os.environ["SELFPLAY_TESTS_HOME"]) / "runs" / "tiny")
    with (folder.path.parent.parent / "tiny.lock").open("a") as one_worker:
        fcntl.flock(one_worker, fcntl.LOCK_EX)
        if not folder.exists():
            folder.create(tiny_config)
            with folder.lock():
                assert train_folder(folder, tiny_config, lambda line: None, lambda: False)
    own = tmp_path_factory.mktemp("runs") / "tiny"
    shutil.copytree(folder.path, own)
    return own
