"""Lanes of the worker: requests in order, and nobody waits for who has gone."""

import io
import json
import threading

import pytest

from scripts.web import worker
from scripts.web.ops.question import Op

SECONDS = 10


class Work:
    """A lane with one place, whose requests are at work until they are let go."""

    def __init__(self):
        self.out, self.began, self.gates = io.StringIO(), [], {}
        self.changed = threading.Condition()
        self.office = worker.Office(self.out)
        self.office.ops = {"wait": Op(self.wait, "long")}

    def wait(self, args, tell):
        with self.changed:
            self.began.append(args["number"])
            self.changed.notify_all()
        assert self.gates[args["number"]].wait(SECONDS)
        return {}

    def ask(self, *numbers):
        for number in numbers:
            self.gates[number] = threading.Event()
            self.office.hear({"id": number, "op": "wait", "args": {"number": number}})

    def sees(self, *numbers):
        with self.changed:
            return self.changed.wait_for(lambda: self.began == [*numbers], SECONDS)

    def said(self):
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@pytest.fixture
def work():
    one = Work()
    yield one
    for gate in one.gates.values():
        gate.set()
    for lane in one.office.lanes.values():
        lane.threads.shutdown()


def test_requests_of_a_lane_wait_for_each_other_in_their_order(work):
    work.ask(1, 2, 3)
    assert work.sees(1)
    for number in (1, 2, 3):
        assert work.sees(*range(1, number + 1))
        work.gates[number].set()
    work.office.lanes["long"].threads.shutdown()
    assert [line["id"] for line in work.said() if "result" in line] == [1, 2, 3]
    waited = [line["id"] for line in work.said() if "note" in line]
    assert waited == [2, 3]


def test_what_is_at_work_for_a_page_that_has_gone_holds_up_nobody(work):
    work.ask(1, 2, 3)
    assert work.sees(1)
    work.office.hear({"cancel": 1})
    assert work.sees(1, 2)  # and 3 waits for 2, though 1 ends
    work.gates[1].set()
    with work.changed:
        assert not work.changed.wait_for(lambda: 3 in work.began, 0.3)
    work.gates[2].set()
    assert work.sees(1, 2, 3)


def test_of_requests_whose_pages_have_gone_only_so_many_are_at_work(work):
    most = 1 + worker.MOST_ABANDONED
    for number in range(most):
        work.ask(number)
        assert work.sees(*range(number + 1))
        work.office.hear({"cancel": number})
    work.ask(most)
    with work.changed:
        assert not work.changed.wait_for(lambda: most in work.began, 0.3)
    work.gates[0].set()
    assert work.sees(*range(most + 1))
