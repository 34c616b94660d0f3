"""NumPy computes on one thread, PyTorch on as many as before."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("threadpoolctl")

from core.blas import _is_numpys

PROGRAM = """
import numpy, torch
from core.blas import one_blas_thread
from threadpoolctl import threadpool_info
before = torch.get_num_threads()
torch.set_num_threads(2)
done = one_blas_thread()
libraries = [one for one in threadpool_info() if one["internal_api"] == "openblas"]
found = [one["num_threads"] for one in libraries if "numpy" in one["filepath"]]
assert done == bool(found), (done, found)
assert set(found) <= {1}, found
assert torch.get_num_threads() == 2
a = numpy.random.RandomState(0).randn(64, 64)
assert numpy.allclose(numpy.linalg.eigvalsh(a @ a.T).sum(), (a * a).sum())
print("one" if done else "other")
"""


def test_numpy_has_one_thread_and_torch_keeps_its_own() -> None:
    # In a process of its own: the number is the process's.
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if done.stdout.strip() == "other":
        pytest.skip("NumPy computes with something else than OpenBLAS here")


@pytest.mark.parametrize(
    ("kind", "file", "is_it"),
    [
        ("openblas", "/x/site-packages/numpy.libs/libscipy_openblas64_-32a4b2a6.so", True),
        ("openblas", "/x/site-packages/numpy/.dylibs/libscipy_openblas64_.dylib", True),
        ("openblas", "/x/site-packages/torch/lib/libopenblas.so", False),
        ("openblas", "/x/site-packages/scipy.libs/libscipy_openblas.so", False),
        ("openmp", "/x/site-packages/numpy.libs/libgomp.so", False),
    ],
)
def test_only_the_library_of_numpy_is_meant(kind: str, file: str, is_it: bool) -> None:
    assert _is_numpys(kind, file) is is_it
