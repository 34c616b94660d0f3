"""What GPUs are told, as far as it can be seen without one; tests/device has one that stands in."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core import devices


def test_full_float32_turns_off_nothing_else_and_leaves_all_as_it_was() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    try:
        with devices.full_float32():
            assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == before[:3] and not cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        with pytest.raises(ValueError), devices.full_float32():
            raise ValueError
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == before


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "MPS backend out of memory (MPS allocated: 9.0 GB)",
        "FIND was unable to find an engine to execute this computation",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        "[enforce fail at alloc_cpu.cpp] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes",
    ],
)
def test_full_memory_is_known_in_the_words_of_every_library(words: str) -> None:
    assert devices.out_of_memory(RuntimeError(words)) and devices.out_of_memory(torch.OutOfMemoryError(words))
    assert not devices.out_of_memory(RuntimeError("expected all tensors to be on the same device"))


def test_weights_lie_as_a_device_likes_them() -> None:
    network = nn.Conv2d(3, 4, 3)
    devices.laid_out(network, torch.device("cpu"))
    assert network.weight.is_contiguous(memory_format=torch.channels_last) and not network.weight.is_contiguous()
    for shape in ((4, 8, 1, 1), (8, 1, 3, 3)):  # which would pass for either layout
        one, other = nn.Conv2d(shape[1], shape[0], shape[2]), nn.Conv2d(shape[1], shape[0], shape[2])
        devices.laid_out(one, torch.device("cpu"))
        assert one.weight.stride() == other.to(memory_format=torch.channels_last).weight.stride()


def test_the_last_thread_puts_the_settings_back() -> None:
    first, second = devices.full_float32(), devices.full_float32()
    before = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    try:
        with first:
            second.__enter__()
        assert torch.get_float32_matmul_precision() == "highest" and not torch.backends.cudnn.allow_tf32
        second.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "high" and torch.backends.cudnn.allow_tf32 == before
    finally:
        torch.set_float32_matmul_precision("highest")
