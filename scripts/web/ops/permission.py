"""What a person at a page, or the command line, has allowed to run in the worker."""

from games import consent
from training import config as config_module
from training.storage.run_folder import RunFolder


class ConsentError(ValueError):
    """Code that a run, a record or a page names, and that may not run yet."""

    def __init__(self, code: consent.Code, what: str) -> None:
        super().__init__(f"{what} would run {code.name!r}, which is no part of selfplay")
        self.code = code


PERMITTED: set[consent.Code] = set()  # by a person, in a page or on the command line


def permit(name: str, folder: str) -> None:
    """Lets code run; a module is looked for in `folder` too."""
    PERMITTED.add(consent.code_of(name))
    consent.allow(name, folder)


def require(code: consent.Code, what: str) -> None:
    """Raises ConsentError unless a person has permitted code to run.

    That this user made the run which names it is not enough: whoever looks at a page has not said
    that anything may run.
    """
    if code not in PERMITTED:
        raise ConsentError(code, what)


def require_run(path: str) -> None:
    """Raises ConsentError unless all code that a run names may run."""
    for field, code in config_module.code_in(RunFolder(path).read_config()).items():
        require(code, f"{path}, its {field},")
