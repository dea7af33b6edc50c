"""Settings for all tests: warnings are errors (pyproject.toml), and shapes must match by rank."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
