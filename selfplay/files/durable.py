"""Files that survive a kill or a power cut: whole ones, whole lines of a log, and locks."""

import contextlib
import errno
import fcntl
import os
import pathlib
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from typing import IO

MAX_HOLDER = 200  # characters of a lock file
MAX_LINES_FILE = 256 << 20  # bytes of a file that is read as lines at once
READ_AT_ONCE = 1 << 20  # bytes
UNIQUE = r"\.[0-9]+-[0-9a-f]{8}"  # before it, what `partial_of` adds to a name
PARTIAL = ".partial"  # ends the name of a file or folder that is still being written
NO_SPACE = "free some space there (of a run, nothing reads the folder discarded/ again)"
ADVICE = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EROFS: "selfplay needs a folder that it may write to",
    errno.EACCES: "selfplay needs a folder that it may write to",
    errno.EPERM: "selfplay needs a folder that it may write to",
    errno.EFBIG: "it is larger than any that selfplay writes: move it away",
    errno.ENOENT: "the folder was moved or deleted, put it back",
    errno.ELOOP: "it is a link, and nothing is written through one that may lead anywhere: "
    "put a file there",
    errno.EMLINK: "it is a hard link, and another file would change with it: put a copy there",
}


class WriteError(OSError):
    """A file that cannot be written; the message says which, why, and what to do."""


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[None]:
    """Turns an OSError of the block into a `WriteError` about `path`."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "mend that")
        raise WriteError(
            f"cannot write {path} ({error.strerror or error}): {advice}, "
            "then give the same command again (a run goes on from its last save)"
        ) from error


def write_whole(path: pathlib.Path, content: bytes | Callable[[IO[bytes]], None]) -> None:
    """Writes a file whole or not at all; when this returns, it is on the disk.

    Args:
      content: the bytes, or a function that writes them.
    """
    partial = partial_of(path)
    with writing(path):
        try:
            with partial.open("x+b") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    content(file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        sync(path.parent)


def partial_of(path: pathlib.Path) -> pathlib.Path:
    """Returns a name beside `path` that no other process uses, for what is still being written."""
    return path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")


def names_in(folder: pathlib.Path) -> list[str]:
    """Returns the names in a folder; none if it is not there.

    Raises:
      OSError: it cannot be listed now (`Path.glob` would find nothing then).
    """
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise NotADirectoryError(
            f"{folder} is a file where a folder belongs: move it away"
        ) from None


def no_link(path: str, flags: int) -> int:
    """An `opener` of `open` that follows no link at `path` itself, and writes to no other file.

    A stranger's folder may hold some, to files of ours.

    Raises:
      OSError: `path` is a link (ELOOP), or a hard link that would be written to (EMLINK).
    """
    # A pipe would else wait for who writes into it.
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if flags & (os.O_WRONLY | os.O_RDWR) and os.fstat(file).st_nlink > 1:
        os.close(file)
        raise OSError(errno.EMLINK, os.strerror(errno.EMLINK), path)
    return file


def make_folder(path: pathlib.Path) -> None:
    """Makes a folder, with those that it lies in; when this returns, they are on the disk.

    Raises:
      WriteError: it cannot be made, or is a link.
    """
    with writing(path):
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not path.is_dir():
            if not path.parent.exists():
                make_folder(path.parent)
            path.mkdir(exist_ok=True)
            sync(path.parent)


def remove(path: pathlib.Path) -> None:
    """Removes a file, or a folder with all that lies in it; of a link, only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def append(path: str | os.PathLike[str], text: str) -> None:
    """Adds whole lines to the end of a file, which need not exist; they are on disk on return.

    A line that an earlier process did not finish is cut off first. Several processes may append.
    """
    check_file(path)
    with writing(pathlib.Path(path)), open(path, "ab+", opener=no_link) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size and file.read() != b"\n":
            file.truncate(end_of_lines(file, size))
        file.write(text.encode(errors="replace"))
        file.flush()
        os.fsync(file.fileno())


def keep_lines(path: str | os.PathLike[str], count: int | None = None) -> list[bytes]:
    """Cuts a file after its first `count` whole lines, or after the last; returns the lines.

    Raises:
      WriteError: it cannot be read and cut, or is larger than any of ours.
    """
    with writing(pathlib.Path(path)), open(path, "rb+", opener=no_link) as file:
        if file.seek(0, os.SEEK_END) > MAX_LINES_FILE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        file.seek(0)
        lines = [line for line in file if line[-1:] == b"\n"][:count]
        file.truncate(sum(map(len, lines)))
    return lines


def end_of_lines(file: IO[bytes], size: int) -> int:
    """Returns how many of the first `size` bytes of a file are whole lines; reads it by parts."""
    while size > 0:
        start = max(0, size - READ_AT_ONCE)
        file.seek(start)
        if (at := file.read(size - start).rfind(b"\n")) >= 0:
            return start + at + 1
        size = start
    return 0


def move(source: pathlib.Path, target: pathlib.Path) -> None:
    """Moves a file or folder, to another disk too: people link parts of a run to larger ones."""
    with writing(target):
        shutil.move(source, target)


def check_file(path: str | os.PathLike[str]) -> None:
    """Raises OSError if something else than a file lies there: a pipe would wait for ever."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except NotADirectoryError:
        folder = os.path.dirname(path)
        raise NotADirectoryError(
            f"{folder} is a file where a folder belongs: move it away"
        ) from None
    if not stat.S_ISREG(mode):
        raise OSError(f"{path} is a folder, a pipe or a device where a file belongs: move it away")


def sync(path: pathlib.Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: pathlib.Path) -> None:
    """Waits until a folder is on the disk with all that lies in it."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync(pathlib.Path(root, name))
        sync(pathlib.Path(root))


@contextlib.contextmanager
def lock(path: pathlib.Path) -> Iterator[str]:
    """Holds a folder by its lock file; yields what it wrote there, which no other process does.

    That is this process's name, the number of times that the folder was held so far, and a random
    word: in two containers on one disk, processes may bear the same name. The file stays. The
    system frees the lock even when the process is killed.

    Raises:
      BlockingIOError: another process holds it; says which.
      OSError: the file cannot be written or locked; says what to do.
    """
    with contextlib.ExitStack() as stack:
        with writing(path):
            check_file(path)
            file = stack.enter_context(open(path, "a+", errors="replace", opener=no_link))
        try:
            _hold(file)
        except BlockingIOError:
            file.seek(0)
            raise BlockingIOError(
                f"{path.parent} is in use by {name_of(file.read(MAX_HOLDER))}: stop it first, or "
                "name another folder"
            ) from None
        except OSError as error:
            raise OSError(
                f"{path.parent} cannot be locked ({error.strerror}), so two processes could "
                "write to it at once: use a folder on another file system"
            ) from None
        file.seek(0)
        before = re.search(r", start (\d{1,9}),", file.read(MAX_HOLDER))
        number = int(before[1]) + 1 if before else 1
        name = f"process {os.getpid()} on {socket.gethostname()}"
        holder = f"{name}, start {number}, {secrets.token_hex(8)}"
        with writing(path):
            file.truncate(0)
            file.write(holder + "\n")
            file.flush()
        yield holder


def _hold(file: IO[str]) -> None:
    """Takes a lock; once more after a moment, for who lists runs asks whether it is held."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    time.sleep(0.05)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def name_of(holder: str) -> str:
    """Returns the name of the process that wrote a lock file, for a message."""
    return holder.partition(", start ")[0].strip() or "another process"
