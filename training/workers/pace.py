"""How many training steps a learner owes for the rows of its workers."""

from training.context import Context
from training.state import State


def pass_over(context: Context, state: State) -> None:
    """Gives up steps that the learner cannot keep up with: those due beyond a window's worth.

    Else a learner that was too slow for a day would go on for a day with the newest rows once its
    workers are gone.
    """
    progress, replay, rows = state.progress, state.replay, context.config.learner.batch
    most = int(replay.window() * context.config.replay.samples_per_row) // rows
    due = replay.steps_allowed(rows) - progress.passed - progress.step
    progress.passed += max(0, due - most)
