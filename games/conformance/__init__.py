"""The laws of a game as checks, for our games and for anyone's.

>>> from games import load
>>> check(load("tic_tac_toe"), games=16, fresh_process=False).violations
()
"""

from games.conformance.check import check, require_form
from games.conformance.laws import LAWS, Report, Violation

__all__ = ["LAWS", "Report", "Violation", "check", "require_form"]
