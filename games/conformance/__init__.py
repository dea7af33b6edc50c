"""The laws of a game as checks, for our games and for anyone's.

>>> from games import load
>>> check(load("tic_tac_toe"), games=16, fresh_process=False).violations
()
"""

from games.conformance.check import check
from games.conformance.comparison import Comparison, compare
from games.conformance.reference import Reference
from games.laws import LAWS, Report, Scene, Violation

__all__ = [
    "LAWS",
    "Comparison",
    "Reference",
    "Report",
    "Scene",
    "Violation",
    "check",
    "compare",
]
