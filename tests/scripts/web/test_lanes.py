"""Lanes of the worker: requests in order, and nobody waits for who has gone."""

import threading
import time

from scripts.web.worker import Lane


class Office:
    """Takes requests that are at work until they are let go."""

    def __init__(self):
        self.open, self.begun, self.ended, self.said = set(), [], [], []
        self.gates = {}
        self.changed = threading.Condition()

    def answer(self, number, op, args):
        with self.changed:
            self.begun.append(number)
            self.changed.notify_all()
        self.gates[number].wait(10)
        with self.changed:
            self.open.discard(number)
            self.ended.append(number)
            self.changed.notify_all()

    def say(self, number, line):
        self.said.append((number, line["note"]))

    def ask(self, lane, number):
        self.gates[number] = threading.Event()
        self.open.add(number)
        lane.put(number, None, {})

    def sees(self, what):
        with self.changed:
            return self.changed.wait_for(what, timeout=10)


def test_requests_of_a_lane_wait_for_each_other_in_their_order():
    office = Office()
    lane = Lane("one", 1, office)
    for number in (1, 2, 3):
        office.ask(lane, number)
    assert office.sees(lambda: office.begun == [1])
    assert office.said == [(number, "waiting for what was asked before") for number in (2, 3)]
    for number in (1, 2, 3):
        office.gates[number].set()
    assert office.sees(lambda: office.ended == [1, 2, 3])


def test_what_is_at_work_for_a_page_that_has_gone_holds_up_nobody():
    office = Office()
    lane = Lane("one", 1, office)
    for number in (1, 2):
        office.ask(lane, number)
    assert office.sees(lambda: office.begun == [1])
    office.open.discard(1)  # its page has gone
    lane.hire()
    assert office.sees(lambda: office.begun == [1, 2])
    office.ask(lane, 3)
    assert office.begun == [1, 2]
    for number in (1, 2, 3):
        office.gates[number].set()
    assert office.sees(lambda: sorted(office.ended) == [1, 2, 3])
    office.ask(lane, 4)  # by the one thread that stays
    office.gates[4].set()
    assert office.sees(lambda: 4 in office.ended)
    for _ in range(100):
        if lane.count == 1:
            return
        time.sleep(0.02)
    raise AssertionError(f"{lane.count} threads stay")
