"""Seeds of random streams by name, so that what one thing draws never moves another."""

from __future__ import annotations

import hashlib

__all__ = ["stream"]


def stream(*names: int | str) -> int:
    """A seed below 2^63 for the random stream called `names`, such as (seed, rank, images seen, "main").

    Different names give unrelated streams: the seed is a hash (BLAKE2b), not a sum.
    """
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
