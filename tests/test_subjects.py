"""The subjects of commits, as CI looks at them (.ci/subjects)."""

import pathlib
import shutil
import subprocess

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not here")
WHO = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]


def commit(folder: pathlib.Path, subject: str) -> str:
    """Makes a commit that changes nothing; returns its hash."""
    words = ["git", *WHO, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", subject]
    subprocess.run(words, cwd=folder, check=True)
    words = ["git", "rev-parse", "HEAD"]
    return subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout[:-1]


def looked_at(folder: pathlib.Path, first: str) -> tuple[int, str]:
    """Returns how CI's script ends there, and what it says."""
    words = [ROOT / ".ci" / "subjects", first]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    return ended.returncode, ended.stderr


def test_a_subject_of_more_than_72_characters_is_named_if_it_is_after_the_first_commit(tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    commit(tmp_path, "x" * 80)
    first = commit(tmp_path, "from here on")
    commit(tmp_path, "ü" * 72)
    assert looked_at(tmp_path, first) == (0, "")
    wrong = commit(tmp_path, "y" * 73)
    code, said = looked_at(tmp_path, first)
    assert code == 1
    assert f"{wrong[:7]} has 73 characters" in said
    assert said.count("characters") == 1


def test_without_the_first_commit_nothing_is_looked_at_and_that_is_said(tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    commit(tmp_path, "z" * 80)
    code, said = looked_at(tmp_path, "0a10bce")
    assert code == 0
    assert "subjects are not looked at" in said
