"""Which run folders were made here by this user: those whose settings bear their signature.

The key lies in the user's own configuration folder, `~/.config/selfplay/key` (or below
XDG_CONFIG_HOME), and nobody else may read it. What is signed is what a run is and would do, not
where it lies: folders move. Without a key nothing is signed, and names in files need consent.
"""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import stat
from typing import Any

from selfplay import durable

KEY_BYTES = 32


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


def _path() -> pathlib.Path:
    root = os.environ.get("XDG_CONFIG_HOME") or pathlib.Path.home() / ".config"
    return pathlib.Path(root) / "selfplay" / "key"


def _key() -> bytes | None:
    """Returns the key, None if there is none that only this user can know."""
    try:
        with open(_path(), "rb", opener=durable.no_link) as file:
            status = os.fstat(file.fileno())
            ours = status.st_uid == os.geteuid() and not status.st_mode & 0o077
            key = file.read(KEY_BYTES + 1) if stat.S_ISREG(status.st_mode) and ours else b""
    except (OSError, RuntimeError):  # also: no home
        return None
    return key if len(key) == KEY_BYTES else None


def _make_key() -> bytes | None:
    """Makes the key, whole or not at all; None if this user cannot keep one."""
    with contextlib.suppress(OSError, RuntimeError):
        path = _path()
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
