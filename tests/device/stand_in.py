"""A GPU that is not there, for machines without one: its tensors say cuda or mps, and hold memory of the host.

A tensor on it computes on the host, and is strict about what a real device is strict about: tensors of host and device
do not meet, MPS has no float64, nothing becomes NumPy's without a copy. What makes the host wait for the device is
counted by the line of our own code that asked. It says nothing of kernels and their speed.

`python -m tests.device.stand_in cuda python -m pytest` runs a command that has it, in all its threads and in the
processes that it starts.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Before torch: it looks for its backends once, when it is loaded.
KIND = os.environ.get("STYLOSCOPE_STAND_IN")
if KIND:
    ctypes.CDLL(os.environ["STYLOSCOPE_STAND_IN_LIBRARY"], mode=ctypes.RTLD_GLOBAL)

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_flatten, tree_map  # noqa: E402

__all__ = ["OnDevice", "install", "library", "variables", "waits"]

# May have operands on both sides, as on a real device.
_BOTH = {"aten::copy_", "aten::_to_copy", "aten::_foreach_copy_", "aten::_has_compatible_shallow_copy_type"}
_STAGED = 2**16  # bytes that CUDA copies aside, so that the host need not wait until they are there
waits: collections.Counter[str] = collections.Counter()


def library(folder: Path) -> Path:
    """Compile what torch wants to find of a device. Raises RuntimeError where that cannot be."""
    if torch.version.cuda:
        raise RuntimeError("this PyTorch has CUDA's own hooks; the stand-in needs a build for the CPU")
    built, home = folder / "stand_in.so", Path(torch.__file__).parent
    command = [
        *(os.environ.get("CXX", "g++"), "-std=c++20", "-O1", "-shared", "-fPIC", "-w"),
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch._C._GLIBCXX_USE_CXX11_ABI)}",
        *(f"-I{home / 'include'}", str(HERE / "stand_in.cpp"), "-o", str(built)),
        *(f"-L{home / 'lib'}", f"-Wl,-rpath,{home / 'lib'}", "-lc10", "-ltorch_cpu"),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=180)
    except (OSError, subprocess.SubprocessError) as wrong:
        raise RuntimeError(f"{wrong}\n{getattr(wrong, 'stderr', '') or ''}") from wrong
    return built


def variables(built: Path, kind: str) -> dict[str, str]:
    """The environment of a process that has the device."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    ours = {"STYLOSCOPE_STAND_IN": kind, "STYLOSCOPE_STAND_IN_LIBRARY": str(built), "PYTHONPATH": path}
    return {**os.environ, **ours}


class OnDevice(Tensor):
    """A tensor whose device is the stand-in and whose numbers are those of `held`, on the host."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(str(KIND), 0),
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})

    @property
    def data(self) -> Tensor:
        """As of any tensor; what is set is held."""
        return torch.Tensor.data.__get__(self)  # type: ignore[attr-defined]

    @data.setter
    def data(self, value: OnDevice) -> None:
        torch.Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.held = value.held

    def tolist(self) -> Any:
        """Numbers of the device, waited for."""
        _waited("tolist")
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:
        """Refused, as on a device."""
        raise TypeError(f"can't convert a {KIND} tensor to numpy; use Tensor.cpu() to copy it to host memory first")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnDevice({self.held!r})"


class _Computing(TorchDispatchMode):
    """Sees what has no tensor of the device among its operands yet."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = func._schema.name
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    ours = [one for one in tensors if isinstance(one, OnDevice)]
    if ours:
        _check_mixed(name, [one for one in tensors if not isinstance(one, OnDevice)])
    asked = kwargs.get("device")
    there = bool(ours) if asked is None else torch.device(asked).type == KIND
    if name == "aten::copy_":
        there = isinstance(args[0], OnDevice)
    if ours and (name == "aten::_local_scalar_dense" or (not there and name in ("aten::_to_copy", "aten::copy_"))):
        _waited(name)
    at_home = {key: value for key, value in kwargs.items() if key != "pin_memory"}
    if asked is not None and there:
        at_home["device"] = torch.device("cpu")
    if KIND == "mps":
        _check_mps(name, args, kwargs, tensors)
    elif there and _uploads(name, args, kwargs):
        _waited("upload")
    found = func(*tree_map(_held, args), **tree_map(_held, at_home))
    same = {id(one.held): one for one in ours}

    def placed(value: Any) -> Any:
        if not isinstance(value, Tensor) or not there:
            return value
        if KIND == "mps" and value.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"{name}: the MPS framework has no float64; take float32 instead")
        known = same.get(id(value))
        return OnDevice(value) if known is None else known

    return tree_map(placed, found)


def _uploads(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether CUDA's host waits for a copy of its memory: it is asked to, or it is more than CUDA copies aside."""
    if name not in ("aten::copy_", "aten::_to_copy"):
        return False
    source = args[1] if name == "aten::copy_" else args[0]
    patient = kwargs.get("non_blocking") or (name == "aten::copy_" and len(args) > 2 and args[2])
    return not isinstance(source, OnDevice) and (not patient or source.nbytes > _STAGED)


def _check_mps(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor]) -> None:
    """Raise for what fails on MPS, or is wrong there without a word, in a PyTorch from 2.6 to 2.13."""
    host = not all(isinstance(one, OnDevice) for one in tensors)
    if host and (kwargs.get("non_blocking") or (name == "aten::copy_" and len(args) > 2 and args[2])):
        raise RuntimeError(f"{name}: MPS reads the host's memory later, when it may be another's (issue 189690)")
    if name in ("aten::index_copy", "aten::index_copy_"):
        raise NotImplementedError(f"{name} is not there for MPS before PyTorch 2.8")
    pools = name == "aten::_adaptive_avg_pool2d" and isinstance(args[0], OnDevice)
    if pools and any(side % into for side, into in zip(args[0].shape[-2:], args[1], strict=True)):
        raise NotImplementedError("Adaptive pool MPS: input sizes must be divisible by output sizes")
    if name.startswith("aten::scatter_add") and args[0].storage_offset():
        raise RuntimeError(f"{name}: MPS adds nothing to what does not begin a tensor (issue 163327)")
    # What derivatives do themselves is PyTorch's own.
    convolves = name == "aten::convolution" and isinstance(args[1], OnDevice) and torch._C._current_graph_task_id() < 0
    if convolves and not args[1].is_contiguous():
        raise RuntimeError("MPS takes the weight of a convolution as contiguous (pull request 192303)")


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value


def _check_mixed(name: str, host: list[Tensor]) -> None:
    """Raise RuntimeError where tensors of host and device meet; numbers may, and places to look at, at a price."""
    large = [one for one in host if one.dim()]
    if not large or name in _BOTH:
        return
    if "index" in name and all(one.dtype in (torch.int64, torch.bool) for one in large):
        _waited(name)
        return
    shapes = [tuple(one.shape) for one in large]
    raise RuntimeError(f"{name}: expected all tensors to be on the same device, but those of {shapes} are on the cpu")


def _waited(why: str) -> None:
    """Count that the host waits, by the innermost line of ours."""
    frame = sys._getframe(1)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT) and not file.is_relative_to(HERE):
            waits[f"{file.relative_to(ROOT).as_posix()} {frame.f_code.co_name} {why}"] += 1
            return
        frame = frame.f_back
    waits[f"elsewhere {why}"] += 1


def install() -> None:
    """Let this process have the device, in this thread and in those it starts."""
    # Parameters change their type on the way to the device, and inference tensors would need views of their own.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.inference_mode = _without_gradients  # type: ignore[assignment,misc]
    _Computing().__enter__()
    # These two copy to the device where no mode sees it.
    torch.tensor, torch.as_tensor = _on_the_way(torch.tensor), _on_the_way(torch.as_tensor)
    run = threading.Thread.run

    def within(self: threading.Thread) -> None:
        with _Computing():
            run(self)

    threading.Thread.run = within  # type: ignore[method-assign]
    if KIND == "mps":
        _say(torch.backends.mps, is_available=True, is_built=True)
        _say(torch.mps, synchronize=None, empty_cache=None)
    else:
        _say(torch.cuda, is_available=True, is_bf16_supported=True, device_count=1, current_device=0, synchronize=None)
        _say(torch.cuda, _lazy_init=None, empty_cache=None, manual_seed_all=None, max_memory_allocated=0)
        _say(torch.cuda, get_device_name="a GPU that is not there", mem_get_info=(2**33, 2**33), is_initialized=True)
        torch.cuda.get_rng_state = lambda device=None: torch.get_rng_state()  # type: ignore[assignment]
        torch.cuda.set_rng_state = lambda state, device=None: torch.set_rng_state(state)  # type: ignore[assignment]


def _without_gradients(mode: Any = True) -> Any:
    """As torch.inference_mode, with or without its brackets, but for tensors of its own kind."""
    if callable(mode):
        return torch.no_grad()(mode)
    return torch.no_grad() if mode else contextlib.nullcontext()


def _on_the_way(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def made(data: Any, *, device: Any = None, **more: Any) -> Tensor:
        there = device is not None and torch.device(device).type == KIND
        return make(data, **more).to(device) if there else make(data, device=device, **more)

    return made


def _say(module: Any, **answers: Any) -> None:
    for name, answer in answers.items():
        setattr(module, name, _answering(answer))


def _answering(answer: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: answer


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        has = {**variables(library(Path(folder)), sys.argv[1]), "STYLOSCOPE_GPU": "everywhere"}
        sys.exit(subprocess.run(sys.argv[2:], env=has, check=False).returncode)
