"""What looks like a secret among environment variables, which are recorded without them."""

import re
from collections.abc import Mapping

_WORDS = frozenset(
    (
        *("AUTH", "AUTHORIZATION", "CERT", "COOKIE", "CREDENTIAL", "CREDENTIALS", "CREDS", "DSN", "JWT", "KEY", "KEYS"),
        *("PASS", "PASSPHRASE", "PASSWD", "PASSWORD", "PASSWORDS", "PAT", "PRIVATE", "PSK", "PW", "PWD", "SALT", "SAS"),
        *("SECRET", "SECRETS", "SIG", "SIGNATURE", "TOKEN", "TOKENS", "WEBHOOK"),
    )
)
_ENDS = ("CREDENTIALS", "KEY", "PASSWD", "PASSWORD", "SECRET", "TOKEN")  # of a word: GITHUBTOKEN, PGPASSWORD
_HARMLESS = ("PWD", "OLDPWD")  # the current folder and the one before

_USER_INFO = re.compile(r"[a-z][a-z0-9+.-]*://\S*@", re.IGNORECASE)  # a password may have any character
_PAIR = re.compile(r"([A-Za-z][\w.-]*)[\"']?\s*[=:]\s*\S")  # `token=...` of a query or a connection string
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(gh[a-z]_|github_pat_|glpat-|hf_|sk-|xox[a-z]-|AIza|pypi-)[\w-]{16,}"  # GitHub, Hugging Face, OpenAI, ...
    r"|\b(AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS
    r"|\beyJ[\w-]+\.eyJ[\w-]+\."  # a JSON web token
    r"|\b(Bearer|Basic) [\w.~+/=-]{8,}"
)


def is_secret(name: str, value: str) -> bool:
    """Return whether the name or the value of a variable looks like a secret. In doubt, it does."""
    if name.upper() not in _HARMLESS and _names_secret(name):
        return True
    if _USER_INFO.search(value) or _SHAPES.search(value):
        return True
    return any(_names_secret(pair[1]) for pair in _PAIR.finditer(value))


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that do not look like secrets."""
    return {name: value for name, value in environment.items() if not is_secret(name, value)}


def _names_secret(name: str) -> bool:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)  # dbPassword
    words = re.split(r"[^A-Z0-9]+", spaced.upper())
    return any(word.rstrip("0123456789") in _WORDS or word.endswith(_ENDS) for word in words)
