"""Goes on with runs that commit 0a10bce made, and compares with what commit 62720b1 made of them.

    python -m tests.golden                    # this checkout, some minutes
    python -m tests.golden --code OTHER --only a,b

The archive has runs of 4 iterations (puct, gate and ladder, committee, decisions, reinforce, an
engine, Go with kept trees, leaves and symmetries, two devices), and half a match. Each run goes on
to 8 iterations, the match goes on, and three measurements of run a are taken; then
weights, games in flight, replay, counters, metrics and records are compared, entry by entry, with
its references/*.json. Wall-clock fields are left out, as in tests/support/runs.py. Exit code 0:
all equal; 1: something differs.

Bits depend on the kind of CPU and the versions of the libraries (README.txt in the archive):
elsewhere, write references with the old code by --write, and compare with these by --references.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

ARCHIVE = pathlib.Path(__file__).parent / "data" / "runs_0a10bce.tar.xz"
ENGINE = "engine:python3 fake_gtp.py"
DEVICES = {"h": 2}  # all others: 1
RUNS = ("a", "b", "c", "d", "e", "f", "g1", "g2", "h")
# What is asked of run a as it is after 4 iterations: name, command line.
ASKED = {
    "match": "arena a random --out match --games 16 --block 8 --json",
    "arena": "arena a random --games 32 --seed 3 --json",
    "perfect": "evaluate a --against perfect --simulations 4 16 --json",
    "evaluate": "evaluate a --games 32 --json",
}
ABSENT = "absent"
NEW = ("counters/batches", "counters/passed")  # of runs with workers, counted since
COUNTED = ("/flops", "/flops_measured", "/measured", "/rated", "/share")  # differs since
GAMES = {"match": "match/games.jsonl"}  # files that they add to

# Runs in a process of the code that is tested.
PROBE = """
import hashlib, json, pathlib, sys
import numpy as np
try:
    from training.storage.checkpoint import CheckpointStore
    from training.storage.run_folder import RunFolder
    from selfplay.files.npz import read  # booleans may be packed
except ImportError:  # an earlier version, which had no room for storage
    from training.checkpoint import CheckpointStore
    from training.run_folder import RunFolder
    from training.npz import read

CLOCK = ("seconds", "trained_from", "iteration_seconds", "evaluation_seconds")

def digest(array):
    array = np.ascontiguousarray(array)
    return f"{array.dtype}{list(array.shape)} {hashlib.sha256(array.tobytes()).hexdigest()}"

def text(path):
    data = path.read_bytes() if path.exists() else b""
    return f"{len(data.splitlines())} lines {hashlib.sha256(data).hexdigest()}"

def describe(path):
    store, folder = CheckpointStore(path), RunFolder(path)
    step = store.steps()[-1]
    saved = store.load(step)
    columns = {}
    for file in sorted((path / "replay").glob("*-*.npz")):
        for name, column in read(file).items():
            columns.setdefault(name, []).append(column)
    capacity = folder.read_config().replay.capacity
    replay = {name: np.concatenate(parts)[-capacity:] for name, parts in columns.items()}
    lines = [
        {k: v for k, v in line.items() if not k.startswith("seconds")}
        for line in folder.read_metrics()
    ]
    return {
        "step": step,
        "counters": {k: v for k, v in saved.counters.items() if k not in CLOCK},
        "train_state": {k: digest(v) for k, v in saved.train_state.items()},
        "games": {k: digest(v) for k, v in saved.games.items()},
        "replay": {k: digest(v) for k, v in replay.items()},
        "metrics": {str(n): line for n, line in enumerate(lines)},
        "records": {
            "self_play": text(path / "games" / "self_play.jsonl"),
            "ladder": text(path / "ladder" / "games.jsonl"),
        },
    }

print(json.dumps(describe(pathlib.Path(sys.argv[1]))))
"""
WHERE = "import training, jax; print(training.__file__, 'jax', jax.__version__)"


class Code:
    """Some version of selfplay, run in subprocesses with nothing of our own environment."""

    def __init__(self, folder, python, home):
        self.folder, self.python, self.home = os.path.abspath(folder), python, home

    def run(self, words, cwd, devices=1, check=True):
        """Returns the stdout of `python WORDS`."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "PYTHON"))}
        env |= {
            "PYTHONPATH": self.folder,
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": self.home,
            "XDG_CONFIG_HOME": self.home,
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
            "JAX_PLATFORMS": "cpu",
        }
        done = subprocess.run(
            ["nice", self.python, *words], cwd=cwd, env=env, capture_output=True, text=True
        )
        if check and done.returncode:
            said = f"{done.returncode}\n{done.stderr[-3000:]}"
            raise RuntimeError(f"{shlex.join(words)[:200]}: {said}")
        return done.stdout

    def selfplay(self, line, cwd, devices=1):
        words = shlex.split(line) if isinstance(line, str) else line
        return self.run(["-m", "scripts.cli", *words], cwd, devices)

    def describe(self, run, cwd):
        return json.loads(self.run(["-c", PROBE, run], cwd))


def flat(value, prefix=""):
    """Returns the leaves of JSON by path."""
    if isinstance(value, dict) and value:
        return {k: v for n, part in value.items() for k, v in flat(part, f"{prefix}{n}/").items()}
    return {prefix.rstrip("/"): value}


def as_asked(name, out, root):
    """Returns what a command of ASKED printed, and the games that it left."""
    found = json.loads(out)
    if isinstance(found, dict):
        for clock in ("plots", "seconds"):
            found.pop(clock, None)
    if name in GAMES:
        lines = (root / GAMES[name]).read_text().splitlines()
        found = {"printed": found, "games": {str(n): json.loads(x) for n, x in enumerate(lines)}}
    return found


def measure(code, archive, root, only, newer):
    """Yields (name, what came out or an exception, seconds)."""
    for name in RUNS:
        if only and name not in only:
            continue
        began, devices = time.monotonic(), DEVICES.get(name, 1)
        words = ["train", "--run-dir", name, "--iterations", "8"]
        if newer and name == "f":
            words += ["--allow", ENGINE]
        try:
            code.selfplay(words, root, devices)
            found = code.describe(name, root)
        except (RuntimeError, ValueError) as error:
            found = error
        yield name, found, time.monotonic() - began
    wanted = [name for name in ASKED if not only or name in only]
    if not wanted:
        return
    again = root / "as_it_was"  # run a after 4 iterations, under the same name
    unpack(archive, again)
    for name in wanted:
        began = time.monotonic()
        try:
            found = as_asked(name, code.selfplay(ASKED[name], again), again)
        except (RuntimeError, ValueError, OSError) as error:
            found = error
        yield name, found, time.monotonic() - began


def unpack(archive, folder):
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")


def compare(found, wanted):
    """Returns the entries that differ, a sentence each.

    But for ratings: a ladder has called its players otherwise since, and draws by their names; and
    for what is computed: operations are counted since, and what measuring takes by these.
    """
    one, other = (
        {k: v for k, v in flat(side).items() if "ladder" not in k and not k.endswith(COUNTED)}
        for side in (found, wanted)
    )
    return [
        f"{name}: {json.dumps(one.get(name, ABSENT))[:120]}, "
        f"reference {json.dumps(other.get(name, ABSENT))[:120]}"
        for name in sorted(one.keys() | other.keys())
        if one.get(name, ABSENT) != other.get(name, ABSENT)
        and not (name in NEW and one.get(name) == 0)
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--code", default=".", help="the folder that holds training/ and scripts/")
    parser.add_argument("--archive", default=ARCHIVE)
    parser.add_argument("--old", action="store_true", help="the code knows no --allow, for run f")
    parser.add_argument("--only", default="", help=f"of {','.join((*RUNS, *ASKED))}")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder there")
    parser.add_argument("--write", default="", help="write references to this folder instead")
    parser.add_argument("--references", default="", help="compare with those of this folder")
    parser.add_argument("--shown", type=int, default=12, help="differences a run that are printed")
    args = parser.parse_args()
    archive = pathlib.Path(args.archive).absolute()
    root = pathlib.Path(tempfile.mkdtemp(prefix="golden-"))
    code = Code(args.code, args.python, str(root / "home"))
    began = time.monotonic()
    unpack(archive, root)
    where = code.run(["-c", WHERE], root).strip()
    print(f"code: {where}", flush=True)
    if not where.startswith(code.folder + os.sep):
        sys.exit(f"that is not the code of {code.folder}")
    out = pathlib.Path(args.write or args.references or root / "references")
    out.mkdir(exist_ok=True)
    bad = []
    only = args.only.split(",") if args.only else []
    for name, found, seconds in measure(code, archive, root, only, not args.old):
        file = out / f"{name}.json"
        if isinstance(found, Exception):
            bad.append(name)
            print(f"{name}: FAILED after {seconds:.0f} s: {found}", flush=True)
        elif args.write:
            file.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")
            print(f"{name}: written, {seconds:.0f} s", flush=True)
        else:
            wanted = json.loads(file.read_text())
            different = compare(found, wanted)
            if different:
                bad.append(name)
                print(f"{name}: {len(different)} of {len(flat(wanted))} entries differ")
                print("\n".join(f"  {line}" for line in different[: args.shown]), flush=True)
            else:
                print(f"{name}: equal, {len(flat(wanted))} entries, {seconds:.0f} s", flush=True)
    if args.keep or bad:
        print(f"kept: {root}")
    else:
        shutil.rmtree(root)
    verdict = (
        f"different or failed: {', '.join(bad)}" if bad else "written" if args.write else "equal"
    )
    print(f"{verdict}; {time.monotonic() - began:.0f} s in all")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
