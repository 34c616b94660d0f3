"""NumPy's linear algebra on one thread, where a second one would cost more than it gives."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePath

__all__ = ["one_blas_thread"]


def one_blas_thread() -> bool:
    """Let NumPy's own OpenBLAS compute on one thread in this process; returns whether it does so from now on.

    Its threads wait for each other by turning in circles. Where PyTorch's threads, or another program, have the core
    that one of them needs, an eigenvalue problem of 8 ms takes a second. Nothing here is large enough to gain by more
    than one thread, and its last bits would hang on their number. PyTorch's threads stay as they are. False where
    NumPy computes with something else, or without the package threadpoolctl.
    """
    with suppress(ImportError):
        from threadpoolctl import ThreadpoolController

        ours = [one for one in ThreadpoolController().lib_controllers if _is_numpys(one.internal_api, one.filepath)]
        for library in ours:
            library.set_num_threads(1)
        return bool(ours)
    return False


def _is_numpys(kind: str, file: str) -> bool:
    """Whether a library is the OpenBLAS that came with NumPy: PyTorch may have its own, which keeps its threads."""
    return kind == "openblas" and any(part.lower() in ("numpy", "numpy.libs") for part in PurePath(file).parts)
