"""A check of this code: do rows come whole from the replay into the loss, through each symmetry?"""

import dataclasses
import types
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Symmetry
from selfplay import positions, row
from selfplay.information import cross_entropy
from selfplay.recorder import Sample
from selfplay.row import Kind
from training import decision_rows, learner, losses, replay, stages
from training.devices import learner_mesh, to_learner
from training.doctor.evidence import Evidence, last_part, row_names, take
from training.doctor.findings import Finding, Result
from training.doctor.refit import BATCH, forward, own_learner
from training.losses import RowLosses

TRIED = 256  # rows that are sent along the way
TURNED = 16  # games that are played again through each symmetry
LEAST_DRAWN = 0.8  # of the window's rows, when four times as many are drawn
LEAST_WRONG, SAME_SHIFT = 1e-3, 1e-5
# By which a loss may miss its value, as a share: sums are rounded otherwise.
SAME_LOSS = {"float32": 0.01, "bfloat16": 0.1}
MADE_BY_LEARNER = ("symmetry", "policy_weight")
_HEALTHY_PATH = "Every row comes to the loss as it was stored, all of it turned alike."


def path(evidence: Evidence) -> Result:
    """Sends rows of the run along the way to the loss, with the code that is installed here.

    No threshold: each row of a minibatch must be a stored one, each image of it what the rules, or
    a symmetry's arrays, make of it, and the losses what their formula says. It says nothing of the
    run if another version of the code has trained it.
    """
    rows = last_part(evidence.rows, TRIED)
    if len(rows.ply) < BATCH:
        return Result("path", _HEALTHY_PATH, "too few rows", {}, unjudged="too few rows")
    drawn, symmetry = _draw(evidence, rows)
    wrong = _not_stored(rows, drawn)
    seen = len(np.unique(row_names(drawn))) / len(rows.ply)
    lost, value = _into_loss(evidence, rows)
    turned, games = _turned_by_rules(evidence)
    off = {} if lost else _wrong_losses(evidence, rows)
    findings = _of_replay(wrong, seen) + _of_symmetries(turned)
    if lost > LEAST_WRONG:
        findings.append(_of_images(lost, *_changed(evidence, rows)))
    findings += _of_value_targets(value) + _of_losses(off)
    measured = {
        "columns_not_as_stored": wrong,
        "rows_drawn": seen,
        "images_not_of_their_rows": lost,
        "value_target_off": value,
        "symmetries_against_the_rules": turned,
        "losses_off": off,
    }
    return Result(
        "path",
        _HEALTHY_PATH,
        f"{len(drawn.ply)} rows drawn, {len(np.unique(symmetry))} symmetries: {lost:.0%} wrong "
        f"images; {games} games turned and played again",
        measured,
        tuple(findings),
    )


def _draw(evidence: Evidence, rows: Sample) -> tuple[Sample, np.ndarray]:
    """Returns rows and symmetries as training draws them, from a replay that has wrapped round."""
    count, config = len(rows.ply), evidence.config
    settings = dataclasses.replace(config.replay, capacity=count, min_rows=count)
    columns = row.flat(rows)
    targets = {
        name: row.Form(column.shape[1:], column.dtype)
        for name, column in columns.items()
        if name not in row.COLUMNS
    }
    buffer = replay.ReplayBuffer(settings, targets)
    buffer.add(take(rows, slice(count // 3)))
    buffer.add(rows)
    symmetries = len(evidence.game.symmetries()) if config.learner.augment else 1
    context = types.SimpleNamespace(
        config=config, symmetries=symmetries, decision_rows=decision_rows.NOTHING
    )
    state = types.SimpleNamespace(replay=buffer)
    steps = -(-4 * count // config.learner.batch)
    parts = [stages.draw(cast(Any, context), cast(Any, state), step) for step in range(steps)]
    drawn, symmetry = zip(*parts, strict=True)
    return row.concatenate(drawn), np.concatenate(symmetry)


def _not_stored(rows: Sample, drawn: Sample) -> list[str]:
    """Returns the columns in which drawn rows are not as they were stored."""
    names = row_names(rows)
    order = np.argsort(names)
    place = order[np.minimum(np.searchsorted(names[order], row_names(drawn)), len(names) - 1)]
    there, here = row.flat(take(rows, place)), row.flat(drawn)
    return [name for name in there if not np.array_equal(there[name], here[name])]


def _into_loss(evidence: Evidence, rows: Sample) -> tuple[float, float]:
    """Returns the share of rows that the loss sees as no image of a stored row, and a distance.

    The latter is that of the value targets from what outcomes and root values make them.
    """
    symmetries = evidence.game.symmetries()[: None if evidence.config.learner.augment else 1]
    known = take(rows, slice(BATCH))
    images = [_image(known, symmetry) for symmetry in symmetries]
    table = {name: np.concatenate([image[name] for image in images]) for name in images[0]}
    share = evidence.config.learner.root_value_weight

    def spy(predicted: Any, batch: losses.Minibatch, value_target: jax.Array) -> RowLosses:
        del predicted
        shown = row.flat(batch)
        same = jnp.ones((len(batch.outcome), len(table["outcome"])), bool)
        for name, expected in table.items():
            seen = shown[name].reshape(len(batch.outcome), 1, -1)
            same &= (seen == expected.reshape(1, len(expected), -1)).all(axis=2)
        wanted = (1 - share) * batch.outcome + share * batch.root_value
        return 1.0 - same.any(axis=1), jnp.abs(value_target - wanted)

    config = dataclasses.replace(evidence.config.learner, batch=BATCH)
    step = learner.make_train_step(evidence.network, evidence.game, config, spy)
    chosen = np.arange(BATCH, dtype=np.int32) % len(symmetries)
    state = to_learner(learner.init(evidence.network, config, jax.random.key(3)), BATCH)
    _, seen = step(state, stages.minibatch(known, chosen), jnp.float32(stages.NO_HORIZON))
    return float(seen["policy_loss"]), float(seen["value_loss"])


def _changed(evidence: Evidence, rows: Sample) -> tuple[list[str], str]:
    """Returns the columns that a minibatch shows otherwise than their images, and the fault's name.

    Looked at one by one, before the loss: what is changed later has no column here.
    """
    symmetries = evidence.game.symmetries()[: None if evidence.config.learner.augment else 1]
    known = take(rows, slice(BATCH))
    chosen = np.arange(BATCH, dtype=np.int32) % len(symmetries)
    batch = jax.device_get(learner.augment(stages.minibatch(known, chosen), symmetries))
    images = [_image(known, symmetry) for symmetry in symmetries]
    gaps, all_shown = {}, row.flat(batch)
    for name in images[0]:
        stacked = np.stack([image[name] for image in images]).astype(np.float32)
        gaps[name] = np.asarray(all_shown[name], np.float32), stacked[chosen, np.arange(BATCH)]
    wrong = [name for name, (shown, right) in gaps.items() if not np.array_equal(shown, right)]
    if "observation" in wrong and not set(wrong) - {"observation", "legal_action_mask"}:
        shown, _ = gaps["observation"]
        turned = np.any([(shown == i["observation"]).all(axis=(1, 2, 3)) for i in images], axis=0)
        return wrong, "shuffled-targets" if turned.all() else "wrong-observations"
    if not wrong or set(wrong) - {"outcome", "root_value"}:
        return wrong, "shuffled-targets"
    pairs = [gaps[name] for name in wrong]
    if all((np.abs(shown) == np.abs(right)).all() for shown, right in pairs):
        return wrong, "value-sign"
    if all(np.ptp(shown) == 0 for shown, _ in pairs):
        return wrong, "value-untrained"
    shifted = all(np.ptp(shown - right) < SAME_SHIFT for shown, right in pairs)
    return wrong, "value-biased" if shifted else "shuffled-targets"


def _image(rows: Sample, symmetry: Symmetry) -> dict[str, np.ndarray]:
    """Returns what training needs of rows through a symmetry, by flat name, by its arrays alone."""
    needed = [name for name in losses.Minibatch._fields if name not in MADE_BY_LEARNER]
    columns = {n: c for n, c in row.flat(rows).items() if n.partition("/")[0] in needed}
    back = np.argsort(symmetry.action)
    for name, values in columns.items():
        column = row.column(name)
        kind = column.kind if column else Kind.SCALAR
        if kind is Kind.OBSERVATION:
            cells = values.reshape(len(values), -1, values.shape[-1])
            columns[name] = cells[:, symmetry.observation].reshape(values.shape)
        elif kind is Kind.PER_CELL:
            cells = values.reshape(len(values), -1)
            columns[name] = cells[:, symmetry.observation].reshape(values.shape)
        elif kind is Kind.PER_ACTION:
            columns[name] = values[:, symmetry.action]
        elif kind is Kind.ACTION:
            columns[name] = back[values].astype(values.dtype)
    return columns


def _turned_by_rules(evidence: Evidence) -> tuple[list[int], int]:
    """Returns the symmetries that do not lead where the turned moves lead, and of how many games.

    Those that turn the opening position into another one are left out: turned moves do not lead
    from there.
    """
    symmetries = evidence.game.symmetries()
    known = [moves for moves in evidence.recorded.values() if moves][-TURNED:]
    if len(symmetries) == 1 or not evidence.config.learner.augment or not known:
        return [], 0
    history = np.resize(positions.pad_moves(known), (TURNED, max(map(len, known))))
    there = history >= 0

    def look(moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        def see(state: Any) -> Any:
            return evidence.game.observe(state), state.legal_action_mask

        seen, _ = jax.device_get(jax.jit(lambda h: positions.watch(evidence.game, h, see))(moves))
        observation, legal = seen
        return observation, legal

    observation, legal = look(history)
    wrong = []
    for number, symmetry in enumerate(symmetries[1:], 1):
        expected = np.asarray(symmetry.on_observation(observation))
        if (expected[:, 0] != observation[:, 0]).any():
            continue
        turned = np.where(there, np.argsort(symmetry.action)[history], -1)
        image, allowed = look(turned.astype(history.dtype))
        same = (image == expected).reshape(*there.shape, -1).all(axis=2)
        same &= (allowed == legal[..., symmetry.action]).all(axis=2)
        if not same[there].all():
            wrong.append(number)
    return wrong, len(known)


def _wrong_losses(evidence: Evidence, rows: Sample) -> dict[str, tuple[float, float]]:
    """Returns the losses of a step that are not what the formula says: the step's, and ours."""
    if evidence.config.distil != "imitation":
        return {}
    config, rows = own_learner(evidence), take(rows, slice(BATCH))
    state = to_learner(learner.init(evidence.network, config, jax.random.key(3)), BATCH)
    # Each device norms by the statistics of its own share.
    shares = np.split(np.arange(BATCH), learner_mesh(BATCH).size)
    parts = [forward(evidence.network, state, take(rows, share)) for share in shares]
    policy, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    target = rows.policy_target.astype(np.float32)
    ours = {
        "policy_loss": float(cross_entropy(target, policy).mean()),
        "value_loss": float(np.square(value - rows.outcome).mean()),
    }
    step = learner.make_train_step(evidence.network, evidence.game, config)
    batch = stages.minibatch(rows, np.zeros(BATCH, np.int32))
    _, measured = step(state, batch, jnp.float32(stages.NO_HORIZON))
    near = SAME_LOSS[evidence.config.network.dtype]
    return {
        name: (float(measured[name]), loss)
        for name, loss in ours.items()
        if not abs(float(measured[name]) - loss) <= near * max(abs(loss), 0.1)
    }


def _of_replay(wrong: list[str], seen: float) -> list[Finding]:
    change = "follow one row through `ReplayBuffer.add`, `.sample` and `stages.draw`"
    if wrong:
        return [
            Finding(
                "shuffled-targets",
                f"this code draws rows from the replay that were never stored: of their columns, "
                f"{', '.join(wrong)} are of other rows or have changed.",
                change,
            )
        ]
    if seen >= LEAST_DRAWN:
        return []
    return [
        Finding(
            "tiny-replay",
            f"this code draws {seen:.0%} of the rows in its window, however often it draws: the "
            "others never reach training.",
            change,
        )
    ]


def _of_symmetries(turned: list[int]) -> list[Finding]:
    if not turned:
        return []
    return [
        Finding(
            "shuffled-targets",
            f"turned moves do not lead to turned positions: the game's symmetries "
            f"{', '.join(map(str, turned))} are wrong.",
            "`selfplay check` the game; `game.symmetries` lists them, the identity first",
        )
    ]


def _of_images(lost: float, columns: list[str], fault: str) -> Finding:
    what = {
        "value-sign": "whose sign is flipped",
        "value-untrained": "which are all alike",
        "value-biased": "which are shifted",
        "wrong-observations": "which show something else",
    }.get(fault, "which are of other rows, or not turned as the others are")
    told = f": {', '.join(columns)}, {what}." if columns else ", inside the training step."
    return Finding(
        fault,
        f"this code shows {lost:.0%} of the rows to the loss as none of their images{told}",
        "in a minibatch, every column goes through the row's own symmetry (`learner.augment`) or "
        "is left alone (`losses.minibatch`)",
    )


def _of_value_targets(value: float) -> list[Finding]:
    if value <= LEAST_WRONG:
        return []
    return [
        Finding(
            "value-biased",
            f"this code's value targets are off by {value:.2f} from what outcomes, root values "
            "and learner.root_value_weight make them.",
            "look at the value target in the loss (`learner.make_train_step`)",
        )
    ]


def _of_losses(off: dict[str, tuple[float, float]]) -> list[Finding]:
    return [
        Finding(
            f"{name.partition('_')[0]}-untrained",
            f"this code's {name.replace('_', ' ')} is {given:.3f} where its formula gives "
            f"{ours:.3f}: another loss is learned than config.json says.",
            "look at the loss (`losses.imitation`, `learner.make_train_step`)",
        )
        for name, (given, ours) in off.items()
    ]
