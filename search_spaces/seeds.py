"""Derive seeds by hashing what they are for."""

import hashlib


def derive_seed(*parts: str | int) -> int:
    """Hash names and numbers into one seed.

    Args:
        parts: Purpose of the seed, such as ``(seed, "order", epoch)``. ``1`` and ``"1"`` are different parts, and
            different sequences of parts are never joined into the same text.

    Returns:
        An integer in ``[0, 2**63)``, the range that torch, numpy and a signed SQL column all accept. It is the same
        in every process, on every platform and in every release.
    """
    kinds = ("text" if isinstance(part, str) else "number" for part in parts)
    text = "".join(f"{kind}:{len(str(part))}:{part};" for kind, part in zip(kinds, parts, strict=True))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
