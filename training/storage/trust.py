"""Trust in run folders: those made here by this user, whose settings bear their signature.

The key lies in the user's own configuration folder, `~/.config/selfplay/key` (or below
XDG_CONFIG_HOME), and nobody else may read it. What is signed is what a run is and would do, not
where it lies: folders move. Without a key nothing is signed, and names in files need consent.
"""

import contextlib
import errno
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import stat
from typing import Any

from selfplay.files import durable

KEY_BYTES = 32
NO_KEY = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EPERM)


def sign(content: dict[str, Any]) -> str:
    """Returns this user's signature of JSON; empty if there can be no key."""
    key = _key() or _make_key()
    return _digest(key, content) if key else ""


def is_signed(content: dict[str, Any], signature: Any) -> bool:
    """Returns whether this user has signed `content`, here."""
    key = _key() if isinstance(signature, str) and signature.isascii() and signature else None
    return key is not None and hmac.compare_digest(_digest(key, content), signature)


def _digest(key: bytes, content: dict[str, Any]) -> str:
    return hmac.new(key, json.dumps(content, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def fault() -> str:
    """Returns why this user's key, which is there, proves nothing; empty if it does, or is none."""
    path = _path()
    if path is None or not os.path.lexists(path) or _key():
        return ""
    return f" (your key {path} proves nothing: it must be a file that only you can read, 0600)"


def _path() -> pathlib.Path | None:
    """Returns where the key lies; None for a user without a home."""
    root = pathlib.Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not root.is_absolute():  # such a one counts for nothing, by its specification too
        root = pathlib.Path(os.path.expanduser("~"), ".config")
    return root / "selfplay" / "key" if root.is_absolute() else None


def _key() -> bytes | None:
    """Returns the key, None if there is none that only this user can know.

    Raises:
      OSError: it cannot be read just now.
    """
    path = _path()
    if path is None:
        return None
    try:
        with open(path, "rb", opener=durable.no_link) as file:
            status = os.fstat(file.fileno())
            ours = status.st_uid == os.geteuid() and not status.st_mode & 0o077
            key = file.read(KEY_BYTES + 1) if stat.S_ISREG(status.st_mode) and ours else b""
    except OSError as error:
        if error.errno not in NO_KEY:
            raise
        return None
    return key if len(key) == KEY_BYTES else None


def _make_key() -> bytes | None:
    """Makes the key, whole or not at all; None if this user cannot keep one."""
    path = _path()
    if path is None:
        return None
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            with open(new, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            os.link(new, path)  # fails if another process was first: then theirs holds
        except FileExistsError:
            pass
        finally:
            new.unlink(missing_ok=True)
    return _key()
