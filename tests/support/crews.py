"""Crews that do tasks badly."""

import random

from selfplay.tasks import Done, Failed, Lost

LOOKS = 2000  # more is a hang


class Scripted:
    """A crew that does tasks here, but brings them in any order, loses some, and repeats some."""

    def __init__(self, play, seed=0, size=3, losses=0.0, repeats=0.0, failing=()):
        self.size, self._play, self._draw = size, play, random.Random(seed)
        self._losses, self._repeats, self._failing = losses, repeats, failing
        self._under_way, self._brought = [], []
        self.begun, self.looks, self.delivered = [], 0, []

    def free(self):
        return self.size - len(self._under_way)

    def begin(self, block):
        assert self.free() > 0
        self.begun.append(block)
        self._under_way.append(block)

    def ended(self):
        self.looks += 1
        assert self.looks < LOOKS, "the match waits for ever"
        events = []
        if self._under_way and self._draw.random() < 0.7:
            block = self._under_way.pop(self._draw.randrange(len(self._under_way)))
            events.append(self._end(block))
            if isinstance(events[0], Done):
                self._brought.append(events[0])
        if self._brought and self._draw.random() < self._repeats:
            events.append(self._draw.choice(self._brought))
        self.delivered += [event.task for event in events if isinstance(event, Done)]
        return events

    def _end(self, block):
        if block in self._failing:
            return Failed(block, ValueError(f"block {block} has an illegal action"))
        if self._draw.random() < self._losses:
            return Lost(block, "out of memory")
        return Done(block, self._play(block))
