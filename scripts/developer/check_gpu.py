"""What XLA's compiler proves about our programs, for a GPU that need not be there.

    make check-gpu

compiles for an H100, prints what came out, and ends with 1 if something does not hold
(docs/compiler.md):

- each convolution of the folded network is one call of cuDNN's, with its bias, ReLU and residual,
  and nothing stands between two of them;
- a simulation takes no more kernels than it did;
- self-play has no loop whose rounds depend on data, and never goes to the host;
- self-play and training of the presets fit into the card.
"""

import collections
import re
import sys
from typing import Any

import jax

import games
from mcts import SearchConfig
from scripts.benchmarks import iteration
from scripts.developer import check_gpu_card, check_gpu_memory
from scripts.developer.check_gpu_text import Step, Steps, count, every, kernels, loops, read, what
from scripts.terminal.console import print_text, say
from training import network, presets
from training.settings import NetworkConfig

FUSED = "__cudnn$convBiasActivationForward"
# Game, blocks, channels, and positions at once.
TOWERS = (
    ("connect_four", 5, 64, 1984),
    ("othello", 6, 128, 1024),
    ("go:size=9", 6, 128, 1024),
    ("go:size=19", 20, 256, 256),
)
# Game, games at once. Without its network a simulation of Gumbel's search may never take more
# kernels than KERNELS says: lower a number there when a change has lowered it.
SIMULATIONS = (("connect_four", 4096), ("othello", 1024), ("go:size=9", 1024))
SEARCH = SearchConfig(simulations=32)
PRESETS = {"gpu": check_gpu_card.H100_BYTES, "gpu-small": 12 * 10**9}  # bytes of their card
OTHERS = "gomoku"  # stands for the games without settings of their own: the largest board of them
TO_HOST = {"infeed", "outfeed", "send", "send-done", "recv", "recv-done"}
IN_HOST_MEMORY = "S(5)"  # in the layout of a buffer
THROUGH = ("get-tuple-element", "bitcast")  # what only gives another name to a result


def main() -> int:
    """Prints all checks; returns 1 if one does not hold."""
    jax.config.update("jax_platforms", "cpu")  # a card that is there is left alone
    card = check_gpu_card.absent()
    found = check_towers(card) + check_simulations(card) + check_presets()
    for problem in found:
        say(f"error: {problem}")
    print_text(f"jax {jax.__version__}: {len(found)} problems")
    return 1 if found else 0


def check_towers(card: Any) -> list[str]:
    """Prints the kernels of an evaluation; returns what does not hold."""
    found = []
    for spec, blocks, channels, batch in TOWERS:
        game = games.load(spec)
        config = NetworkConfig(blocks=blocks, channels=channels, value_hidden=128, dtype="bfloat16")
        own = network.make(config, game.observation_shape, game.num_actions)
        program = read(check_gpu_card.compile_evaluations(card, own, batch).as_text())
        name = f"{spec} {blocks}x{channels}, {batch} positions"
        evaluation = largest_loop(program)
        print_text(f"an evaluation of {name}: {count(evaluation)} kernels")
        print_text(by_kind(evaluation))
        print_text(f"  once before all: {count(program) - loop_kernels(program)}")
        found += [f"{name}: {problem}" for problem in tower_problems(evaluation, blocks)]
    return found


def check_simulations(card: Any) -> list[str]:
    """Prints the kernels of a simulation without a network; returns what does not hold."""
    found = []
    for spec, batch in SIMULATIONS:
        most = sum(iteration.KERNELS[spec])
        program = check_gpu_card.compile_search(card, games.load(spec), SEARCH, batch)
        simulation = largest_loop(read(program.as_text()))
        taken = count(simulation)
        print_text(f"a simulation of {spec}, {batch} games: {taken} kernels, at most {most}")
        print_text(by_kind(simulation))
        if taken > most:
            found.append(f"{spec}: a simulation takes {taken} kernels, and took {most}")
    return found


def check_presets() -> list[str]:
    """Prints the memory that the presets take; returns what does not hold of their programs."""
    found = []
    for name, size in PRESETS.items():
        card = check_gpu_card.absent(size)
        for game in presets.PRESETS[name]:
            config = presets.preset(name, game or OTHERS)  # type: ignore[arg-type]
            play = check_gpu_card.compile_self_play(card, config)
            training = check_gpu_card.compile_training(card, config)
            plan = check_gpu_memory.plan(config, play, training, size)
            print_text(f"{name}, {check_gpu_memory.described(plan)}")
            problems = call_problems(read(play.as_text())) + plan.problems
            found += [f"{name}, {config.game}: {problem}" for problem in problems]
    return found


# ---- what a program's steps show ----------------------------------------------------------------


def tower_problems(steps: Steps, blocks: int) -> list[str]:
    """Returns why an evaluation is not a tower of fused convolutions, one right after another."""
    by_name = {step.name: step for step in steps}
    layers = [step for step in steps if what(step) == FUSED]
    others = [step for step in every(steps) if is_convolution(step) and what(step) != FUSED]
    found = [f"{step.name} is a convolution by itself ({what(step)})" for step in others]
    if len(layers) != 2 * blocks + 2:
        found.append(f"{len(layers)} convolutions are one call, of {2 * blocks + 2}")
    for index, layer in enumerate(layers):
        if '"activation_mode":"kRelu"' not in layer.line:
            found.append(f"{layer.name} has no ReLU in it")
        residual = index % 2 == 0 and 0 < index <= 2 * blocks
        if len(layer.operands) != (4 if residual else 3):
            wanted = "its bias and the residual" if residual else "its bias and nothing else"
            found.append(f"{layer.name} must take {wanted}, and takes {layer.operands[2:]}")
        inputs = [layer.operands[0], *layer.operands[3:]] if index else []
        before = [made_by(by_name, name) for name in inputs]
        found += [
            f"{step.name} ({what(step)}) stands before {layer.name}, which no convolution does"
            for step in before
            if step is not None and what(step) != FUSED
        ]
    return found


def is_convolution(step: Step) -> bool:
    """Returns whether a step convolves, fused or not."""
    return step.opcode == "convolution" or step.target.startswith("__cudnn$conv")


def made_by(by_name: dict[str, Step], name: str) -> Step | None:
    """Returns the step that computes what `name` is; None if it comes from outside."""
    step = by_name.get(name)
    while step is not None and step.opcode in THROUGH:
        step = by_name.get(step.operands[0])
    return step


def call_problems(steps: Steps) -> list[str]:
    """Returns where a call waits for its data or for the host."""
    endless = [
        f"the rounds of {step.name} depend on data ({step.origin})"
        for step in loops(steps)
        if step.rounds is None
    ]
    hosts = [
        f"{step.name} goes to the host ({step.target or step.opcode}, {step.origin})"
        for step in every(steps)
        if step.opcode in TO_HOST
        or re.search("callback|host", step.target, re.IGNORECASE)
        or IN_HOST_MEMORY in step.line.partition(", metadata=")[0]
    ]
    choices = [
        f"the host chooses the branch of {step.name} ({step.origin})"
        for step in every(steps)
        if step.opcode == "conditional"
    ]
    return endless + hosts + choices


def largest_loop(steps: Steps) -> Steps:
    """Returns the body of the loop that runs most kernels a round."""
    return max((loop.bodies[0] for loop in loops(steps)), key=count)


def loop_kernels(steps: Steps) -> int:
    """Returns how many kernels the outermost loops run in all."""
    return sum(count((step,)) for step in steps if step.opcode == "while")


def by_kind(steps: Steps) -> str:
    """Returns how many kernels do what, a line each."""
    table = collections.Counter(what(step) for step in kernels(steps))
    return "\n".join(f"  {number:3} {kind}" for kind, number in table.most_common())


if __name__ == "__main__":
    sys.exit(main())
