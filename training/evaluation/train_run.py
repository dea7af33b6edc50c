"""`train_run`: a run from a program, as `selfplay train` makes one from a command line."""

import os
from collections.abc import Callable

import games
from games.form import require_form
from training import multihost
from training.config import RunConfig
from training.evaluation.evaluator import RunEvaluator
from training.metrics_log import MetricsLog, OnMetrics, Silent
from training.oversight import decision_file
from training.run import train
from training.source import LOCAL, Source
from training.storage.run_folder import RunFolder


def train_run(
    path: str | os.PathLike[str],
    config: RunConfig,
    on_metrics: OnMetrics = lambda line: None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Makes a run in a folder, or goes on with the one that is there, and trains to its limits.

    The command `selfplay train` does the same, with flags, a progress bar and Ctrl-C.

    Args:
      path: the run's folder; it may be absent or empty, or hold a run of the same settings.
      config: `training.preset("quick", "connect_four")`, changed by `dataclasses.replace`; of a run
        that goes on, `iterations`, `minutes`, `flops` and `checkpoint` may differ from before.
      on_metrics: called with each line of metrics.jsonl, and with
        `{"kind": "notice", "text": ...}`.
      stop: asked between iterations; true: save and return.

    Returns:
      Whether the run reached its limits. If not, the same call goes on.

    Raises:
      ValueError: the settings cannot work, other things lie in the folder, or a run of others.
      CheckpointError: another process holds the run, or no checkpoint can be read.
      NonFiniteError: NaN or infinity came up.
      OSError: the disk is full, or the like; nothing that was saved is lost.

    Example:
      >>> import dataclasses, training
      >>> from selfplay.config import SelfPlayConfig
      >>> from training.settings import EvaluationConfig
      >>> config = dataclasses.replace(
      ...     training.preset("quick", "tic_tac_toe"),
      ...     minutes=0.0,
      ...     iterations=1,
      ...     self_play=SelfPlayConfig(batch=16),
      ...     evaluation=EvaluationConfig(every=0),  # nothing is measured
      ... )
      >>> training.train_run(folder, config)
      True
    """
    config.check()
    folder = RunFolder(path)
    if not folder.exists():
        folder.check_free()
        require_form(games.load(config.game), config.game)
    with folder.lock():
        if folder.exists():
            folder.check_same(config)
            folder.write_config(config)
        else:
            folder.create(config)
        return train_folder(folder, config, on_metrics, stop)


def train_folder(
    folder: RunFolder,
    config: RunConfig,
    on_metrics: OnMetrics,
    stop: Callable[[], bool],
    first_weights: tuple[RunFolder, int] | None = None,
    on_activity: Callable[[str], None] = lambda text: None,
    source: Source = LOCAL,
) -> bool:
    """Trains in a folder that exists and whose lock is held, with all that its settings name.

    Args:
      on_metrics, stop: as for `train_run`.
      first_weights, source: as for `training.run.train`.
      on_activity: called with what begins and takes a while: compiling, evaluating.

    Returns, Raises: as `train_run`.
    """
    log = MetricsLog if multihost.is_first() else Silent
    metrics = log(folder, on_metrics, on_activity)
    decisions = decision_file.load(config.overseer, config.game, games.load(config.game))
    return train(folder, config, metrics, stop, RunEvaluator, source, decisions, first_weights)
