"""docs/api.md: everything on it can be imported, has an example, and its examples are right."""

import doctest
import importlib
import inspect
import re

from tests.support import ROOT

OFFERED = re.findall(r"^\.\. autofunction:: (\S+)$", (ROOT / "docs/api.md").read_text(), re.M)


def failures(name: str, text: str, namespace: dict[str, object]) -> str:
    """Runs a docstring's examples in `namespace`, which they add to; returns what went wrong."""
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert examples.examples, f"{name} is on docs/api.md: give its docstring an example"
    examples.globs = namespace
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(examples, out=said.append, clear_globs=False)
    return "".join(said)


def test_every_example_of_what_is_offered_in_python_gives_what_it_says(tmp_path):
    namespace: dict[str, object] = {"folder": tmp_path}
    assert len(OFFERED) > 7
    for name in OFFERED:
        module, _, function = name.rpartition(".")
        text = inspect.getdoc(getattr(importlib.import_module(module), function))
        wrong = failures(name, text, namespace)
        assert not wrong, wrong


def test_the_pages_programs_run_and_give_finished_games(capsys):
    page, known = (ROOT / "docs/api.md").read_text(), {}
    for program in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S):
        exec(program, known)
    assert known["found"].visit_counts.sum(axis=1).tolist() == [16] * 4
    assert len(known["examples"].outcome) > len(known["finished"]) > 0


def test_a_wrong_example_is_seen():
    assert failures("right", ">>> x = 1\n>>> x + 1\n2\n", {}) == ""
    assert "Expected:\n    3\nGot:\n    2" in failures("wrong", ">>> 1 + 1\n3\n", {})
    assert "NameError" in failures("raises", ">>> nobody\n1\n", {})
