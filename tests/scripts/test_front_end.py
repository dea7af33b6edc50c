"""Lines that a front end sends: read ahead, whole, and ended by whatever ends them."""

import os

from scripts.terminal.front_end import Lines


def test_lines_come_whole_and_then_the_end():
    reading, writing = os.pipe()
    lines = Lines(reading, 100)
    os.write(writing, b"na")
    os.write(writing, b"me\nquit\nla")
    os.close(writing)
    assert [lines.next() for _ in range(5)] == [b"name", b"quit", b"la", None, None]
    os.close(reading)


def test_a_front_end_that_is_lost_is_the_end_of_input_and_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    assert Lines(reading, 100).next() is None  # an error in its thread would fail this test
