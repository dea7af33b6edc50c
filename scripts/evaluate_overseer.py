"""`selfplay evaluate R --against overseer`: what distillation loses of the amplified policy."""

import json
from typing import Any

from scripts.flags.evaluate import Args
from scripts.run_report import own_folder
from scripts.terminal.console import (
    announce_devices,
    print_json,
    print_text,
    progress,
    say,
)
from selfplay.files import durable, json_objects
from training.evaluation.distillation import SETS, audit
from training.metrics import Match
from training.report import pngs
from training.storage.run_folder import RunFolder

FEW = 3  # checkpoints; with fewer, growth over a run is hardly seen


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    for name, least in (("checkpoints", 1), ("sample", 8)):
        if getattr(args, name) < least:
            raise ValueError(f"--{name} must be at least {least}, got {getattr(args, name)}")
    folder = RunFolder(args.run)
    folder.read_config()
    out = own_folder(folder)
    announce_devices()
    with progress("evaluate against overseer", args.checkpoints, "checkpoints") as update:
        result, worst = audit(
            folder,
            args.checkpoints,
            args.sample,
            args.seed,
            args.decisions,
            lambda done, step: update(done, f"step {step}"),
        )
    durable.make_folder(out)
    durable.write_whole(out / "distilled.json", (json.dumps(result) + "\n").encode())
    lines = "".join(
        json.dumps({"game": folder.read_config().game, "moves": m}) + "\n" for m in worst
    )
    durable.write_whole(out / "worst.jsonl", lines.encode())
    pngs.write_distilled(folder, out)
    _advise(result)
    if args.json:
        print_json(result)
    else:
        print_text(_table(result))
        say(f"written: {out}/distilled.json, distilled.png and worst.jsonl")
    return 0


def _advise(result: dict[str, Any]) -> None:
    rows = result["checkpoints"]
    if len(rows) < FEW:
        say(
            f"note: {result['run']} has kept {len(rows)} checkpoints: "
            "--checkpoint.keep-every STEPS keeps more, to see whether errors grow"
        )
    without = [str(row["step"]) for row in rows if row["step"] and "trained" not in row]
    if without:
        say(
            f"note: of what steps {', '.join(without)} were trained on, nothing is left in "
            "replay/: --replay.keep all keeps it"
        )

    measured = [row[name] for row in rows for name in SETS if name in row]
    if not any(of["most_regret"] for of in measured) and any(of["changed"] for of in measured):
        say(
            f"note: Amplify(A), {result['amplify']}, values no move above another: regret, 0 "
            "everywhere, says nothing of what it changes"
        )


def _table(result: dict[str, Any]) -> str:
    """Returns the result as lines of text."""

    def follows(row: dict[str, Any]) -> str:
        of = row["decided"]
        return (
            f"{row['step']:8d}  its best move is the overseer's in {of['follows']:.1%} of "
            f"{of['positions']} decisions, kl {of['kl']:.3f}"
        )

    lines = [
        f"{result['run']}: disagreement of the network with Amplify(A), {result['amplify']}",
        "    step  set      positions     kl  value  changed  regret        most",
    ]
    for row in result["checkpoints"]:
        for name in SETS:
            if name in row:
                of = row[name]
                lines.append(
                    f"{row['step']:8d}  {name:8} {of['positions']:9d}  {of['kl']:5.3f}  "
                    f"{of['value']:5.3f}  {of['changed']:7.1%}  {of['regret']:.3f} "
                    f"±{of['regret_error']:.3f}  {of['most_regret']:.2f}"
                )
    lines += [
        f"{row['step']:8d}  {json_objects.read(Match, row['strength']).in_words(result['amplify'])}"
        for row in result["checkpoints"]
    ]
    lines += [follows(row) for row in result["checkpoints"] if "decided" in row]
    words = {True: "grows", False: "does not grow", None: "too few checkpoints"}
    verdicts = [f"{name}: {words[result['grows'][name]]}" for name in SETS]
    return "\n".join([*lines, f"regret over the run: {', '.join(verdicts)}"])
