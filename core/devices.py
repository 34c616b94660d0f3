"""What GPUs have to be told: whole float32, which copies are waited for, how weights lie; and that memory is full."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["full_float32", "has_bfloat16", "laid_out", "out_of_memory", "pooling_device", "sent", "wait"]

# The settings are the process's, so the first thread that asks sets them and the last one puts them back.
_lock, _asked, _before = threading.Lock(), 0, ("highest", True)
# How libraries below torch say it: cuDNN finds no way to convolve, cuBLAS and cuDNN allocate, Windows has no more,
# oneDNN makes nothing (a descriptor alone is refused for other reasons), C++ itself.
_FULL = re.compile(
    "out of memory|can't allocate memory|not enough memory|ALLOC_FAILED"
    "|unable to find an engine to execute this computation"
    "|could not create a (primitive(?! descriptor)|memory)|could not initialize a memory|bad_alloc"
)


@contextmanager
def full_float32() -> Iterator[None]:
    """Convolutions and products of float32 in float32: no TensorFloat-32, which keeps 10 of its 23 bits."""
    global _asked, _before
    with _lock:
        if not _asked:
            _before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
            _set("highest", allow_tf32=False)
        _asked += 1
    try:
        yield
    finally:
        with _lock:
            _asked -= 1
            if not _asked:
                _set(_before[0], allow_tf32=_before[1])


def _set(precision: str, *, allow_tf32: bool) -> None:
    # Not by cudnn.flags, which sets what it is not told, too: it would switch cuDNN off.
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = allow_tf32


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy on the device, which the host does not wait for on CUDA.

    MPS reads the host's memory when it comes to it (PyTorch up to 2.13, issue 189690), which then may hold something
    else.
    """
    return tensor.to(device, non_blocking=device.type == "cuda")


def has_bfloat16(device: torch.device) -> bool:
    """Whether a GPU of NVIDIA or AMD computes in bfloat16 by itself: older ones emulate it, slower than float32."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def laid_out(module: nn.Module, device: torch.device) -> None:
    """Move a network, its convolutions' weights channels_last: but for MPS, where PyTorch up to 2.13 misreads them."""
    layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=layout)  # strides of 1x1 weights, too
    module.to(device)


def pooling_device(device: torch.device) -> torch.device:
    """Where adaptive pooling is computed: MPS has it for sizes that divide alone, and rounds others up."""
    return torch.device("cpu") if device.type == "mps" else device


def out_of_memory(wrong: BaseException) -> bool:
    """Whether this is what torch raises where memory is full."""
    return isinstance(wrong, torch.OutOfMemoryError | MemoryError) or _FULL.search(str(wrong)) is not None


def wait(device: torch.device) -> None:
    """Let the device finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
