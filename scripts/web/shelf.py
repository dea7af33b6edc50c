"""The runs and matches that the server shows, by name: nothing else on the disk is reached."""

import os
import pathlib
from collections.abc import Callable, Sequence

from scripts.flags.web import DEFAULT_FOLDERS
from training.report import listing

MATCH_MARK = "match.json"
# What may be no link in a run: it could lead to any file. Checkpoints and replay may be some.
NO_LINKS = (
    "config.json",
    "metrics.jsonl",
    "games",
    "report",
    "oversight",
    "oversight/decisions.jsonl",
)


class NotThereError(ValueError):
    """A name that is none of ours, or of what has been deleted."""


class Shelf:
    """What lies in the folders that the command names.

    A name is a path as `selfplay runs` prints it. One that a page sends is looked up among those,
    so that no path from outside is followed.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        """Takes folders, each a run, a match, or one that holds some.

        Raises:
          ValueError: one is not there.
        """
        self.roots = tuple(map(pathlib.Path, roots))
        for root in self.roots:
            if not root.is_dir() and str(root) not in DEFAULT_FOLDERS:
                raise ValueError(f"there is no folder {root}")

    def runs(self) -> list[pathlib.Path]:
        """Returns the folders of runs, those of each root in turn, the newest first."""
        return list(dict.fromkeys(path for root in self.roots for path in listing.runs_in(root)))

    def matches(self) -> list[pathlib.Path]:
        """Returns the folders of matches, by name."""
        places = [place for root in self.roots for place in (root, *_folders(root))]
        within = [one for place in places if not listing.is_run(place) for one in _folders(place)]
        paths = dict.fromkeys((*places, *within))
        return sorted(path for path in paths if (path / MATCH_MARK).is_file())

    def run(self, name: str) -> pathlib.Path:
        """Returns the folder of a run.

        Raises:
          NotThereError: there is none of that name, or a link in it leads elsewhere.
        """
        path = self._find(name, listing.is_run, "run")
        for inside in NO_LINKS:
            if (path / inside).is_symlink():
                raise NotThereError(f"{path / inside} is a link: what it leads to is not read")
        return path

    def match(self, name: str) -> pathlib.Path:
        """Returns the folder of a match. Raises NotThereError if there is none of that name."""
        return self._find(name, lambda path: (path / MATCH_MARK).is_file(), "match")

    def file(self, folder: pathlib.Path, name: str) -> pathlib.Path:
        """Returns a file in a folder of ours.

        Raises:
          NotThereError: it is not there, or a name or a link leads out of the folder.
        """
        path = folder / name
        inside = os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)
        if not (inside and path.is_file()):
            raise NotThereError(f"{folder} has no file {name!r}")
        return path

    def _find(self, name: str, is_one: Callable[[pathlib.Path], bool], kind: str) -> pathlib.Path:
        """Returns the folder of that name: a root, or one or two levels below it."""
        path = pathlib.Path(name)
        below = ".." not in path.parts and {path, path.parent, path.parent.parent} & {*self.roots}
        if name and "\0" not in name and below and is_one(path):
            return path
        raise NotThereError(f"there is no {kind} {name!r} here: it may have been moved or deleted")


def _folders(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        with os.scandir(path) as entries:
            return [path / one.name for one in entries if one.name[0] != "." and one.is_dir()]
    except OSError:  # somebody else's, or deleted meanwhile
        return []
