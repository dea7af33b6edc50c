"""`selfplay sweep`."""

import json
import pathlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from games import consent
from scripts.flags.sweep import Args
from scripts.terminal import signals
from scripts.terminal.console import (
    announce_devices,
    note,
    print_json,
    print_text,
    progress,
    say,
)
from scripts.terminal.signals import INTERRUPTED, stop_on_signal
from selfplay import children
from selfplay.files import durable
from training.sweep import job as job_module
from training.sweep import outlook, processes, summary, table
from training.sweep import plan as plan_module
from training.sweep.plan import Job, Limit, Plan
from training.sweep.processes import Ended

SUMMARY = "sweep.json"
MEASURING = 0.02  # of a run's share, for its measuring at the end


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    plan = plan_module.read(args.file)
    _require_consent(plan, args.file)
    out = pathlib.Path(args.out or pathlib.Path("sweeps", pathlib.Path(args.file).stem))
    if args.only:
        return _make_one(plan, _job_of(plan, args.only), out)
    _warn(plan, args.workers)
    if args.dry_run:
        return _dry_run(plan, out, args)
    durable.make_folder(out)
    with durable.lock(out / "lock"):
        left = outlook.left(plan, out)
        failed, interrupted = _make(plan, left, out, args) if left else ([], False)
        _tell(plan, out, args)
    if interrupted:
        say(f"interrupted: all is saved in {out}; the same command goes on")
        return INTERRUPTED
    return 1 if failed else 0


def _require_consent(plan: Plan, file: str) -> None:
    """Raises ValueError for all code of somebody's own that the file names, unless it may run."""
    faults = []
    for where, code in plan.code().items():
        try:
            consent.require(code, f"{file}, {where},")
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("; ".join(faults))


def _warn(plan: Plan, workers: int) -> None:
    """Says it where runs at once make the comparison unfair."""
    if workers > 1 and plan.limit.name == "minutes":
        note(
            f"{workers} runs at once share this machine, and how much one computes in its minutes "
            "depends on the others: only flops or iterations compare fairly"
        )


def _job_of(plan: Plan, text: str) -> Job:
    jobs = {job.place: job for job in plan.jobs()}
    if text not in jobs:
        raise ValueError(f"--only {text}: there is no such run; there are {', '.join(jobs)}")
    return jobs[text]


# ---- one run, in this process -------------------------------------------------------------------


def _make_one(plan: Plan, job: Job, out: pathlib.Path) -> int:
    """Makes one run, and tells how far it is on stdout, a line of JSON each time."""
    if job_module.result(plan, job, out):
        say(f"{job.place} is done: {out / job.place}")
        return 0
    announce_devices()
    limit = plan.limit

    def watch(line: dict[str, Any]) -> None:
        if line["kind"] == "notice":
            say(f"note: {line['text']}")
        elif line["kind"] == "iteration":
            _tell_share(_share(line, limit) * (1 - MEASURING))

    with stop_on_signal(worth_saving=2) as stop:
        finished = job_module.train(plan, job, out, watch, stop)
    if not finished:
        say(f"interrupted: {job.place} is saved; the same command goes on")
        return INTERRUPTED
    _tell_share(1 - MEASURING)
    job_module.measure(plan, job, out, lambda text: say(f"{job.place}: {text}"))
    _tell_share(1.0)
    return 0


def _share(line: Mapping[str, Any], limit: Limit) -> float:
    done = {
        "flops": line["flops"],
        "iterations": line["iteration"],
        "minutes": line["seconds"] / 60,
    }
    return min(done[limit.name] / limit.value, 1.0)


def _tell_share(share: float) -> None:
    print_json({"share": round(share, 4)})


# ---- all runs, a process each -------------------------------------------------------------------


def _make(
    plan: Plan, left: Sequence[Job], out: pathlib.Path, args: Args
) -> tuple[list[Ended], bool]:
    """Makes the runs that are left; returns those that failed, and whether it was interrupted."""
    cores = processes.shares(args.workers)
    failed: list[Ended] = []
    done = len(plan.jobs()) - len(left)
    wishes = 0

    def ended(one: Ended) -> None:
        nonlocal done, wishes
        if one.code == 0:
            done += 1
        elif one.code in (INTERRUPTED, -signal.SIGTERM):  # the latter: it had hardly begun
            wishes += 1
        else:
            failed.append(one)
            say(f"failed: {one.name} ({one.how}); its log: {out / one.name}.log")

    total = len(plan.jobs())
    signals.say_at_end("selfplay sweep: interrupted; the same command goes on")
    with stop_on_signal() as stop:
        with progress("checking all variants", None):
            if not _check(out, args, cores[0], stop):
                return [], True
        with progress("sweep", total, "runs") as update:

            def show(running: dict[str, float]) -> None:
                note = ", ".join(f"{name} {share:.0%}" for name, share in running.items())
                update(done + sum(running.values()), note)

            work = [_work(job, out, args) for job in left]
            processes.run_all(work, cores, stop, show, ended)
        return failed, stop() or bool(wishes)


def _work(job: Job, out: pathlib.Path, args: Args) -> tuple[str, list[str], pathlib.Path]:
    words = _command(args, out, "--only", job.place)
    return job.place, words, pathlib.Path(f"{out / job.place}.log")


def _command(args: Args, out: pathlib.Path, *more: str) -> list[str]:
    """Returns a command line of this command, with what may run here."""
    allowed = [word for name in consent.allowed() for word in ("--allow", name)]
    words = ["sweep", args.file, "--out", str(out), *more, *allowed]
    return [*children.our_module("scripts.cli"), *words]


def _check(out: pathlib.Path, args: Args, cores: frozenset[int], stop: Callable[[], bool]) -> bool:
    """Lets a process with a run's share of the cores look for what cannot work.

    This process starts no device: of an accelerator it would take the memory.

    Returns:
      Whether it was not interrupted.

    Raises:
      ValueError: something cannot work; all of it is named.
    """
    log = out / "check.log"
    log.unlink(missing_ok=True)
    words = _command(args, out, "--dry-run", "--workers", str(args.workers))
    codes: list[Ended] = []
    processes.run_all([("check", words, log)], [cores], stop, lambda running: None, codes.append)
    [end] = codes
    if stop() or end.code == INTERRUPTED:
        return False
    if end.code:
        raise ValueError(end.how.removeprefix("selfplay sweep: "))
    log.unlink()
    return True


# ---- what came out ------------------------------------------------------------------------------


def _tell(plan: Plan, out: pathlib.Path, args: Args) -> None:
    """Writes the sweep's files, and prints its result."""
    results = {job: result for job in plan.jobs() if (result := job_module.result(plan, job, out))}
    summed, notes = summary.summarize(plan, results), summary.notes(plan, results)
    notes += _strangers(plan, out)
    whole = {**summed, "notes": notes, "runs": {job.place: results[job] for job in results}}
    durable.write_whole(out / SUMMARY, (json.dumps(whole, indent=1) + "\n").encode())
    text = table.table(summed, notes)
    if args.json:
        print_json(whole)
        return
    if not results:
        say(f"no run is finished yet: {out}")
        return
    print_text(table.markdown(summed) if args.markdown else text)
    say(f"curves: selfplay web {out}; all figures: {out / SUMMARY}")


def _strangers(plan: Plan, out: pathlib.Path) -> list[str]:
    """Returns a note about runs in the folder that the file names no longer."""
    wanted = {job.place for job in plan.jobs()}
    there = {
        f"{path.parent.parent.name}/{path.parent.name}" for path in out.glob("*/seed-*/config.json")
    }
    names = sorted(there - wanted)
    return [f"left out, since FILE does not name them: {', '.join(names)}"] if names else []


def _dry_run(plan: Plan, out: pathlib.Path, args: Args) -> int:
    """Checks all variants and prints what there is to do."""
    import jax  # here: of a sweep's processes, only those that compute start devices

    from training.sweep.check import problems

    faults = problems(plan, out, args.workers)
    if args.workers > 1 and jax.devices()[0].platform != "cpu":
        faults.append(
            f"--workers {args.workers}: runs share cores, not an accelerator: leave it at 1"
        )
    if faults:
        raise ValueError(f"{args.file} cannot work here: {'; '.join(faults)}")
    found = outlook.outlook(plan, out, args.workers)
    if args.json:
        print_json(found)
    else:
        print_text(outlook.in_words(plan, found))
    return 0
