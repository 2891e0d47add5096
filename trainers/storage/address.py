"""From a path or a URL to a folder.

A folder is sent to another process as text: `open_folder(str(folder))` is the same folder there.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from search_spaces.errors import UsageError
from trainers.storage.folder import Folder
from trainers.storage.local import LocalFolder

_URL = re.compile(r"[A-Za-z][\w+.-]+://")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]+:")
_SECRET = re.compile(r"secret|passw|token|signature|credentials|key|^sas", re.IGNORECASE)


def open_folder(text: str) -> Folder:
    """The folder of a path or a URL; it need not exist, and nothing is asked of its file system.

    Raises:
        UsageError: It is neither, or the URL holds credentials.
    """
    if not _URL.match(text):
        if not text or _SCHEME.match(text):
            raise UsageError(f"a folder's path or SCHEME://..., not {text!r}")
        return LocalFolder(Path(text))
    _refuse_credentials(text)
    if text.startswith("file:///"):
        return LocalFolder(Path(unquote(urlsplit(text).path)))
    from trainers.storage.remote import RemoteFolder  # loads pyarrow, which takes a moment

    return RemoteFolder(text)


def _refuse_credentials(text: str) -> None:
    """A URL is printed, stored and handed to every worker: it may name a user, never a secret.

    Raises:
        UsageError: There is one, or what may be one; the message does not repeat it.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port  # read for what it raises
        found = parts.password is not None or (parts.scheme.startswith("s3") and parts.username is not None)
        query = parse_qsl(parts.query, keep_blank_values=True)
        found = found or any(_SECRET.search(name) or "@" in value for name, value in query)
    except ValueError:  # what follows the colon is no port: a key pair with a slash in it looks like that
        found = True
    if found:
        raise UsageError(
            "a folder's URL may hold no credentials, since it is printed and stored: take them out; they come from the "
            "environment (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, ...)"
        )
