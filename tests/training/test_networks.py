"""The catalogue of networks: each plays what it was trained to, and learns with all its weights."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.example import Kind
from training import flops, learner, network
from training.doctor import units
from training.losses import Minibatch
from training.network import Weights
from training.preflight import estimate
from training.settings import NETWORKS, LearnerConfig, NetworkConfig
from training.storage.leaves import flatten

GAME = games.load("tic_tac_toe")
SHAPE, ACTIONS = (3, 4, 2), 13  # an action for each cell, and a pass
TARGETS = (
    ("margin", Kind.SCALAR),
    ("reply", Kind.PER_ACTION),
    ("final_board", Kind.PER_CELL),
)
SMALL = {"blocks": 1, "channels": 8, "value_hidden": 8, "momentum": 0.5}
NAMES = (
    "resnet",
    "resnet:pool=true",
    "resnet:squeeze=true",
    "nbt",
    "convolutional",
    "transformer:heads=2",
    "mlp:width=16",
)
of_each = pytest.mark.parametrize("name", NAMES)


def make(name, shape=SHAPE, actions=ACTIONS, targets=TARGETS, **settings):
    return network.make(NetworkConfig(name=name, **SMALL | settings), shape, actions, targets)


def positions(count, shape=SHAPE, seed=1):
    return np.random.default_rng(seed).random((count, *shape)) < 0.5


def random_weights(net, seed=0):
    """Weights away from the zeros and ones that they begin with."""
    rng = np.random.default_rng(seed)
    params, stats = jax.tree.map(np.asarray, net.init(jax.random.key(seed)))
    params = jax.tree.map(lambda p: p + 0.2 * rng.standard_normal(p.shape, np.float32), params)
    return Weights(params, stats)


def test_every_network_of_the_catalogue_is_tried_here():
    assert {name.partition(":")[0] for name in NAMES} == set(NETWORKS)


@of_each
def test_what_plays_is_what_was_trained_without_norms_and_targets(name):
    net, observation = make(name), positions(7)
    params, stats = random_weights(net)
    train = jax.jit(net.forward_all)
    before = stats
    for _ in range(40):  # until the running statistics are those of these positions
        trained, predicted, stats = train(Weights(params, stats), observation)
    for leaf, moved in flatten(stats).items():
        assert (moved != flatten(before)[leaf]).any(), leaf
    folded = net.fold(Weights(params, stats))
    played = jax.jit(net.evaluate)(folded, observation)
    assert np.ptp(trained.value) > 0.01, "the positions look alike to this network"
    np.testing.assert_allclose(played.prior_logits, trained.prior_logits, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(played.value, trained.value, rtol=2e-3, atol=2e-3)
    assert not [leaf for leaf in flatten(folded) if "targets" in leaf or "mean" in leaf]
    shapes = {target: values.shape for target, values in predicted.items()}
    assert shapes == {"margin": (7,), "reply": (7, ACTIONS), "final_board": (7, *SHAPE[:2])}
    assert all(np.ptp(values) > 0.01 for values in predicted.values())


@pytest.mark.parametrize("name", ["resnet", "nbt", "transformer", "mlp:width=64"])
def test_the_memory_that_is_counted_is_a_near_floor_of_what_the_compiler_takes(name):
    net = make(name, (7, 7, 3), 50, (), blocks=2, channels=32)
    count, weights = 64, net.init(jax.random.key(0))
    seen = positions(count, (7, 7, 3))

    def loss(params):
        evaluation, _, stats = net.forward_all(Weights(params, weights.batch_stats), seen)
        return jnp.square(evaluation.prior_logits).sum() + evaluation.value.sum(), stats

    programs = (
        jax.jit(net.evaluate).lower(net.fold(weights), seen),
        jax.jit(jax.grad(loss, has_aux=True)).lower(weights.params),
    )
    taken = [program.compile().memory_analysis().temp_size_in_bytes for program in programs]
    play, train = (count * of_one for of_one in estimate._position_bytes(net))
    assert 0.2 * taken[0] < play <= taken[0], (play, taken[0])
    assert 0.4 * taken[1] < train <= taken[1], (train, taken[1])


@of_each
def test_a_layer_whose_units_are_dead_is_found_in_the_traced_program(name):
    net = make(name, targets=())
    folded = net.fold(random_weights(net))

    def kill(path, leaf):
        last = jax.tree_util.keystr(path[-2:])
        return leaf - 1e4 if "value_hidden" in last and "bias" in last else leaf

    found = [
        units.dead(net.evaluate, variables, positions(64))
        for variables in (folded, jax.tree_util.tree_map_with_path(kill, folded))
    ]
    alive, killed = ({layer for layer in dead if dead[layer] == 1} for dead in found)
    (lost,) = killed - alive
    assert lost == list(found[0])[-1]
    if name == "resnet":
        layers = ["stem", "block 0, inside", "block 0", "heads_conv", "value_hidden"]
        assert list(found[0]) == layers
    else:
        assert lost == f"ReLU {len(found[0])} of {len(found[0])}"


def test_units_of_a_relu_inside_other_functions_are_counted_by_plain_numpy():
    weights = np.random.default_rng(0).standard_normal((5, 6), np.float32)

    @jax.jit
    def evaluate(weights, x):
        return jax.checkpoint(lambda x: jax.nn.relu(x @ weights))(x).sum()

    x = np.random.default_rng(1).standard_normal((2, 3, 5), np.float32)
    share = 1 - ((x @ weights) > 0).any(axis=(0, 1)).mean()
    assert 0 < share < 1
    assert units.dead(evaluate, weights, x) == {"ReLU 1 of 1": pytest.approx(share)}


@of_each
def test_bfloat16_plays_close_to_float32_and_answers_in_float32(name):
    wide, narrow = (make(name, dtype=dtype) for dtype in ("float32", "bfloat16"))
    weights, observation = wide.init(jax.random.key(0)), positions(16)
    exact, rounded = (n.evaluate(n.fold(weights), observation) for n in (wide, narrow))
    for said in exact, rounded:
        assert said.prior_logits.dtype == said.value.dtype == np.float32
        assert said.prior_logits.shape == (16, ACTIONS)
        assert said.value.shape == (16,)
        assert np.isfinite(said.prior_logits).all()
        assert np.abs(said.value).max() <= 1
    np.testing.assert_allclose(rounded.value, exact.value, atol=0.1)
    np.testing.assert_allclose(rounded.prior_logits, exact.prior_logits, atol=0.2)
    assert np.abs(rounded.prior_logits - exact.prior_logits).max() > 0, "nothing is bfloat16"
    trained, predicted, _ = jax.eval_shape(narrow.forward_all, weights, observation)
    assert {x.dtype for x in (*trained, *predicted.values())} == {jnp.dtype("float32")}


def random_minibatch(count=32):
    """Examples without a rule: what is learned of them is learned by heart."""
    rng = np.random.default_rng(0)
    action = rng.integers(0, GAME.num_actions, count)
    targets = {
        "margin": rng.uniform(-1, 1, count).astype(np.float32),
        "reply": np.eye(GAME.num_actions, dtype=np.float16)[action[::-1]],
        "final_board": rng.integers(0, 2, (count, 3, 3)).astype(np.int8),
    }
    ones = np.ones(count, np.float32)
    return Minibatch(
        observation=positions(count, GAME.observation_shape),
        legal_action_mask=np.ones((count, GAME.num_actions), bool),
        policy_target=np.eye(GAME.num_actions, dtype=np.float16)[action],
        action=action.astype(np.int16),
        q=np.zeros((count, GAME.num_actions), np.float16),
        outcome=rng.choice([-1, 1], count).astype(np.float32),
        root_value=0 * ones,
        weight=ones,
        symmetry=np.zeros(count, np.int32),
        policy_weight=ones,
        targets=targets,
        target_weights=dict.fromkeys(targets, ones),
    )


@of_each
def test_every_weight_learns_and_random_examples_are_learned_by_heart(name):
    # Without weight decay, so that only a gradient moves a weight.
    config = LearnerConfig(batch=32, learning_rate=0.01, warmup_steps=0, weight_decay=0)
    net = make(name, GAME.observation_shape, GAME.num_actions, channels=16)
    weights = {target: 1.0 for target, _ in TARGETS}
    step = learner.make_train_step(net, GAME, config, targets=weights)
    state, batch, losses = learner.init(net, config, jax.random.key(0)), random_minibatch(), []
    fresh = jax.tree.map(np.array, state.params)
    for _ in range(40):
        state, metrics = step(state, batch, jnp.float32(1e6))
        losses.append(float(metrics["policy_loss"] + metrics["value_loss"]))
    assert losses[-1] < losses[0] / 2, losses
    # Of a convolution's kernel the average weight would do: of each leaf, nearly every number.
    for leaf, before in flatten(fresh).items():
        moved = flatten(state.params)[leaf] != before
        assert moved.mean() > 0.5, leaf


@of_each
def test_moving_a_piece_changes_what_the_network_says(name):
    net = make(name)
    folded = net.fold(net.init(jax.random.key(0)))
    here = np.zeros((2, *SHAPE), bool)
    here[0, 0, 1, 0] = here[1, 2, 3, 0] = True
    logits, value = jax.jit(net.evaluate)(folded, here)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    assert abs(value[0] - value[1]) > 1e-4


def plain_transformer(params, observation, heads):
    """The transformer in NumPy float64, cell by cell."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    height, width = observation.shape[1:3]
    cells = list(itertools.product(range(height), range(width)))

    def dense(layer, x):
        return x @ layer["kernel"] + layer.get("bias", 0)

    def norm(layer, x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * layer["scale"]

    def gelu(x):
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def attend(layer, tokens):
        """`tokens` [cells, C] of one position."""
        query, key, value = np.split(dense(layer["query_key_value"], tokens), 3, axis=1)
        out = np.zeros_like(tokens)
        size = tokens.shape[1] // heads
        for head, i in itertools.product(range(heads), range(len(cells))):
            own = slice(head * size, (head + 1) * size)
            scores = np.zeros(len(cells))
            for j, (y, x) in enumerate(cells):
                down, right = y - cells[i][0], x - cells[i][1]
                row = (down + height - 1) * (2 * width - 1) + right + width - 1
                scores[j] = query[i, own] @ key[j, own] / np.sqrt(size) + layer["bias"][row, head]
            weights = np.exp(scores) / np.exp(scores).sum()
            out[i, own] = weights @ value[:, own]
        return dense(layer["out"], out)

    logits, values = [], []
    for position in observation.astype(float):
        tokens = np.array([dense(params["embed"], position[c]) + params["place"][c] for c in cells])
        for number in sorted(params["blocks"]):
            block = params["blocks"][number]
            tokens = tokens + attend(block["attend"], norm(block["attend_norm"], tokens))
            inner = gelu(dense(block["first"], norm(block["first_norm"], tokens)))
            tokens = tokens + dense(block["second"], inner)
        tokens = norm(params["norm"], tokens)
        policy = np.maximum(dense(params["policy_conv"], tokens), 0).ravel()
        logits.append(dense(params["policy"], policy))
        value = np.maximum(dense(params["value_conv"], tokens), 0).ravel()
        hidden = np.maximum(dense(params["value_hidden"], value), 0)
        values.append(np.tanh(dense(params["value"], hidden))[0])
    return np.array(logits), np.array(values)


def test_the_transformer_equals_attention_cell_by_cell_in_plain_numpy():
    net, observation = make("transformer:heads=2", targets=(), blocks=2), positions(3)
    weights = random_weights(net)
    found = jax.jit(net.evaluate)(net.fold(weights), observation)
    logits, value = plain_transformer(weights.params, observation, heads=2)
    np.testing.assert_allclose(found.prior_logits, logits, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.value, value, rtol=1e-3, atol=1e-3)


def test_operations_are_those_of_the_layers_by_hand():
    cells, channels, own = 12, 8, {"policy_channels": 3, "value_channels": 2}
    heads = cells * channels * 5 + cells * 3 * ACTIONS + cells * 2 * 8 + 8
    stem, block = 9 * 2 * channels, 2 * 9 * channels**2
    nested = 2 * channels * 4 + 2 * 2 * 9 * 4**2
    attention = 4 * channels**2 + 2 * cells * channels
    pooled = 9 * channels**2 + 9 * 6 * channels  # by cell; 2 of 8 channels are pooled
    by_hand = {
        "resnet": cells * (stem + block) + heads,
        "resnet:pool=true": cells * (stem + pooled) + 4 * 6 + heads,
        "resnet:squeeze=true": cells * (stem + block) + 8 * 2 + 2 * 16 + heads,
        "nbt": cells * (stem + nested) + heads,
        "convolutional": cells * (stem + pooled + 2 * 8 * 3 + 3) + 48 + 16 * 8 + 8,
        "transformer:heads=2": cells * (2 * 8 + attention + 2 * 8 * 16) + heads,
        "mlp:width=16": 24 * 16 + 2 * 16**2 + 16 * ACTIONS + 16 * 8 + 8,
    }
    for name in NAMES:
        assert flops.of_evaluation(make(name, **own)) == 2 * by_hand[name], name


def test_global_pooling_is_in_the_last_block_and_every_second_before_it():
    leaves = flatten(jax.eval_shape(make("resnet:pool=true", blocks=4).init, jax.random.key(0)))
    assert {leaf.split("/")[2] for leaf in leaves if "pool" in leaf} == {"1", "3"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("transformer:heads=3", "got 3 heads of 8 channels"),
        ("transformer:heads=0", "got 0 heads"),
        ("mlp:width=0", "width must be at least 1, got 0"),
        ("nbt:pool=true", "unknown option 'pool'"),
    ],
)
def test_options_that_do_not_fit_are_named_with_their_values(name, wanted):
    with pytest.raises(ValueError, match=wanted):
        make(name).init(jax.random.key(0))


def test_global_blocks_need_a_few_channels():
    with pytest.raises(ValueError, match="channels of at least 4, got 3"):
        make("resnet:squeeze=true", channels=3).init(jax.random.key(0))


def test_weights_of_a_convolutional_network_fit_every_board_and_move_with_the_stones():
    """Far from the edges it says of a stone what it says of it on another board, somewhere else."""
    small, large = (
        make("convolutional", (size, size, 2), size * size + 1, (), blocks=0) for size in (5, 7)
    )
    weights = random_weights(small)
    shapes = [jax.tree.map(np.shape, net.init(jax.random.key(0))) for net in (small, large)]
    assert shapes[0] == shapes[1]
    boards = [np.zeros((1, size, size, 2), bool) for size in (5, 7)]
    boards[0][0, 2, 2, 0] = boards[1][0, 3, 2, 0] = True
    logits = [
        np.asarray(net.evaluate(net.fold(weights), board).prior_logits)[0, :-1].reshape(size, size)
        for net, board, size in zip((small, large), boards, (5, 7), strict=True)
    ]
    around = [logits[0][1:4, 1:4], logits[1][2:5, 1:4]]
    assert np.ptp(around[0]) > 0.01
    # What is pooled differs by a constant for all cells before the last ReLU, so not to the bit.
    order = [np.argsort(part, axis=None).tolist() for part in around]
    assert order[0] == order[1]


def test_a_small_board_in_a_larger_array_is_scored_as_if_it_were_alone():
    """In play and in training, whose batch statistics are those of the board's cells."""
    several = games.load("hex:size=3+4+6")
    config = NetworkConfig(name="convolutional", **SMALL | {"blocks": 2})
    framed = network.make(config, several.observation_shape, several.num_actions, sizes=3)
    weights = random_weights(framed)
    for game, size in zip(several.games, (3, 4, 6), strict=True):
        alone = network.make(config, game.observation_shape, game.num_actions)
        top = (6 - size) // 2
        inside = np.s_[:, top : top + size, top : top + size]
        seen, shown = positions(5, game.observation_shape), np.zeros((5, 6, 6, 4), bool)
        shown[inside] = np.concatenate([seen, np.ones_like(seen[..., :1])], axis=-1)
        played = [net.evaluate(net.fold(weights), x) for net, x in ((alone, seen), (framed, shown))]
        trained = [
            jax.jit(net.forward_all)(weights, x) for net, x in ((alone, seen), (framed, shown))
        ]
        for one, other in (played, [evaluation for evaluation, *_ in trained]):
            assert np.ptp(one.value) > 0.01
            assert not np.any(other.prior_logits[:, -3:])
            cells = np.asarray(other.prior_logits)[:, :-3].reshape(-1, 6, 6)[inside].reshape(5, -1)
            np.testing.assert_allclose(cells, one.prior_logits, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(other.value, one.value, rtol=1e-4, atol=1e-4)
        moved = [flatten(stats) for _, _, stats in trained]
        for leaf, values in moved[0].items():
            np.testing.assert_allclose(moved[1][leaf], values, rtol=1e-4, atol=1e-4)


def test_a_convolutional_network_refuses_a_game_whose_actions_are_no_cells():
    with pytest.raises(ValueError, match=r"an action for each cell.*7 actions on 6 x 7"):
        make("convolutional", (6, 7, 2), 7).init(jax.random.key(0))
