"""Write arguments as Hydra overrides, `optimizer.lr=0.001`.

Source: hydra.cc, "Basic override syntax" and "Extended override syntax". In quoted text, a backslash counts only
before a quote. OmegaConf reads the result again and takes `${` for an interpolation unless a backslash precedes it.
"""

import re
from collections.abc import Mapping

from search_spaces.command.inputs import Argument
from search_spaces.errors import UsageError
from search_spaces.values import show

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS = ("null", "true", "false", "inf", "nan")  # in any case, they are not texts


def hydra_overrides(args: Mapping[str, Argument]) -> tuple[str, ...]:
    """Return one override for each argument; null is written, too.

    Raises:
        UsageError: A section has a key that Hydra's grammar cannot express.
    """
    return tuple(f"{name}={hydra_value(value)}" for name, value in args.items())


def hydra_value(value: Argument) -> str:
    """Return a value in Hydra's grammar.

    Raises:
        UsageError: A section has a key that Hydra's grammar cannot express.
    """
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case Mapping():
            return f"{{{','.join(f'{_key(name)}:{hydra_value(inner)}' for name, inner in value.items())}}}"
        case list() | tuple():
            return f"[{','.join(map(hydra_value, value))}]"
        case _:
            return repr(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", literal)) + "'"


def _key(name: str) -> str:
    if _KEY.fullmatch(name) and name.lower() not in _WORDS:
        return name
    raise UsageError(f"a key of a section in a Hydra override must be letters, digits, _ and -, found {show(name)}")
