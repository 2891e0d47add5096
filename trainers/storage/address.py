"""Open a folder by its path or URL.

A folder is sent to another process as text: there, `open_folder(str(folder))` returns the same folder.
"""

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
    """Return the folder at a path or URL, without accessing its file system; the folder need not exist.

    Raises:
        UsageError: The text is neither a path nor a URL, or the URL contains credentials.
    """
    if not _URL.match(text):
        if not text or _SCHEME.match(text):
            raise UsageError(f"a folder must be a path or SCHEME://..., found {text!r}")
        return LocalFolder(Path(text))
    _refuse_credentials(text)
    if text.startswith("file:///"):
        return LocalFolder(Path(unquote(urlsplit(text).path)))
    from trainers.storage.remote import RemoteFolder  # imports pyarrow, which is slow

    return RemoteFolder(text)


def _refuse_credentials(text: str) -> None:
    """Check that a URL has no secret, since URLs are printed, stored and sent to workers; a user name is allowed.

    Raises:
        UsageError: The URL contains something that may be a secret; the message does not repeat it.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError if it is not a number
        found = parts.password is not None or (parts.scheme.startswith("s3") and parts.username is not None)
        query = parse_qsl(parts.query, keep_blank_values=True)
        found = found or any(_SECRET.search(name) or "@" in value for name, value in query)
    except ValueError:  # no port follows the colon; a key pair with a slash in it looks like this
        found = True
    if found:
        raise UsageError(
            "a folder's URL must not contain credentials, since it is printed and stored: remove them and set them in "
            "the environment (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, ...)"
        )
