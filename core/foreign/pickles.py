"""An interpreter of pickles that can build tables, lists, numbers and text, and nothing else.

A pickle is a program for a stack machine whose instructions may import and call anything. This machine knows the
instructions that network files use and calls nothing: a global is two words (`inert.Named`), and what a call of one of
them stands for is looked up in the tables below. Any other global becomes an `inert.Opaque` and its name is kept, so
that the file can be refused by a sentence that names it. Bytes stay in the file (`source.Span`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from core.errors import CheckpointError
from core.foreign import inert
from core.foreign.inert import Dtype, Encoded, Module, Named, Namespace, Opaque, Ordered, Storage, Stored
from core.foreign.source import Budget, Span, Text, Window

__all__ = ["NVIDIA", "STORAGE", "TORCH", "Machine", "check_known"]

_DEEPEST_MARK = 256
_DEEPEST_VALUE = 64
_LONGEST_NAME = 256
_LONGEST_TEXT = 1 << 16  # bytes; a longer one stays in the file
_WIDEST_NUMBER = 16  # bytes
_LARGEST_KEY = 1 << 53
_MOST_UNKNOWN = 1000
_NUMBERS = {
    "f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b",
    "u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?",
}  # fmt: skip
_MODULE_VERSIONS = range(1, 7)

_TENSORFLOW = {"dnnlib.tflib.network Network", "network Network", "tfutil Network"}
_TENSORS = {"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "collections OrderedDict"}
_ENCODED = {"_codecs encode"}  # bytes, in protocol 2
_SETS = {"builtins set", "__builtin__ set"}
_NUMPY = {
    "numpy dtype",
    "numpy ndarray",
    *(f"numpy.{core}.multiarray {name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
}
# Which globals are known, by the kind of pickle. Whole names: `a.b c` is not reached through `a b.c`.
STORAGE = frozenset(f"torch {name}" for name in inert.STORAGES)
TORCH = frozenset({*_TENSORS, *_ENCODED, *_NUMPY, *_SETS, *STORAGE, "argparse Namespace"})
NVIDIA = frozenset(
    {
        *_TENSORS,
        *_ENCODED,
        *_NUMPY,
        *_SETS,
        "dnnlib.util EasyDict",
        "torch.storage _load_from_bytes",
        "torch_utils.persistence _reconstruct_persistent_obj",
    }
)


def check_known(budget: Budget) -> None:
    """Raise CheckpointError, naming them, where the pickles called for globals that are on no list."""
    names = sorted(budget.unknown)
    if not _TENSORFLOW.isdisjoint(names):
        raise CheckpointError(
            f"{budget.path} is a TensorFlow pickle of the original StyleGAN or StyleGAN2, which cannot be read here; "
            "convert it with the legacy.py of stylegan2-ada-pytorch first"
        )
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        listed = ", ".join(name.replace(" ", ".")[:80] for name in names[:5])
        raise CheckpointError(
            f"{budget.path} asks for {listed}{more}, which no network file needs; nothing of it was run"
        )


class Machine:
    """Reads one pickle from a window. `persistent` says what a persistent id is, `storage` what bytes of one are."""

    def __init__(
        self,
        window: Window,
        budget: Budget,
        known: frozenset[str],
        *,
        persistent: Callable[[Any], Any] | None = None,
        storage: Callable[[Span | Encoded], Storage] | None = None,
    ) -> None:
        self.window = window
        self.source = window.source
        self.budget = budget
        self.known = known
        self.persistent = persistent
        self.storage = storage
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.names: dict[str, Named] = {}

    def load(self) -> Any:
        """Return what the pickle builds; the window then stands behind it. Raises CheckpointError."""
        take, budget = self.window.take, self.budget
        try:
            while True:
                opcode = take(1)[0]
                budget.spend(1)
                if opcode == _STOP:
                    value = self.stack.pop()
                    self._check_depth(value)
                    return value
                step = _STEPS.get(opcode)
                if step is None:
                    name = f"0x{opcode:02x}"
                    raise self.source.damaged(f"its pickle has the instruction {name}, which no network file needs")
                step(self)
        except (IndexError, KeyError) as wrong:  # a stack that is empty, a memo that was never written
            check_known(budget)
            raise self.source.damaged("its pickle makes no sense") from wrong
        except CheckpointError:
            check_known(budget)  # says more than that the rest could not be read either
            raise

    def _check_depth(self, value: Any) -> None:
        """Look at every container once, level by level."""
        seen: set[int] = set()
        level = [value]
        for _ in range(_DEEPEST_VALUE):
            below: list[Any] = []
            for one in level:
                inner = one.meta.values() if type(one) is Module else one.values() if isinstance(one, dict) else one
                if isinstance(one, dict | list | tuple | Module) and id(one) not in seen:
                    seen.add(id(one))
                    below.extend(v for v in inner if isinstance(v, dict | list | tuple | Module))
            level = below
            if not level:
                return
        raise self.source.damaged(f"it is nested more than {_DEEPEST_VALUE} deep")

    # --- the stack ---------------------------------------------------------------------------------------------------

    def _mark(self) -> None:
        if len(self.marks) >= _DEEPEST_MARK:
            raise self.source.damaged(f"it is nested more than {_DEEPEST_MARK} deep")
        self.marks.append(self.stack)
        self.stack = []

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.stack.append(items)

    def _marked_tuple(self) -> None:
        items = self._marked()
        self.stack.append(tuple(items))

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    # --- containers --------------------------------------------------------------------------------------------------

    def _append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif type(target) is not Opaque:
            raise self.source.damaged("its pickle appends to what is no list")

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if len(items) % 2:
            raise IndexError
        if type(target) is Opaque:
            return
        if type(target) not in (dict, Ordered):
            raise self.source.damaged("its pickle sets items of what is no table")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key)] = value

    def _add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is set:
            target.update(map(self._key, items))
        elif type(target) is not Opaque:
            raise self.source.damaged("its pickle adds to what is no set")

    def _key(self, key: Any) -> Any:
        # The hash of a tuple goes through all it holds, and a few nested ones can hold the same thing a billion times.
        # Whole numbers beyond 2^61 have the hashes of others, so a table of them could take minutes.
        if key is None or type(key) in (str, bool, float):
            return key
        if type(key) is int and abs(key) < _LARGEST_KEY:
            return key
        raise self.source.damaged("a table in it has a key that is neither text nor a number")

    # --- numbers, text, bytes ----------------------------------------------------------------------------------------

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self.window.take(struct.calcsize(form)))[0]

    def _long(self, length: int) -> None:
        if not 0 <= length <= _WIDEST_NUMBER:
            raise self.source.damaged(f"a number in it has {length} bytes")
        self.stack.append(int.from_bytes(self.window.take(length), "little", signed=True))

    def _text(self, length: int) -> None:
        if length > self.window.end - self.window.at:
            raise self.source.truncated()
        if length > _LONGEST_TEXT:
            span = self.window.skip(length)
            self.stack.append(Text(span.begin, span.end))
            return
        self.budget.spend_text(length)
        try:
            self.stack.append(self.window.take(length).decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as wrong:
            raise self.source.damaged("a text in it is none") from wrong

    # --- globals and calls -------------------------------------------------------------------------------------------

    def _named(self, module: str, name: str) -> None:
        if len(module) > _LONGEST_NAME or len(name) > _LONGEST_NAME:
            raise self.source.damaged("a name in it does not end")
        full = f"{module} {name}"
        if full not in self.names:
            self.budget.spend_text(len(full))
            self.names[full] = Named(full, full in self.known)
            if full not in self.known and len(self.budget.unknown) < _MOST_UNKNOWN:
                self.budget.unknown.add(inert.printable(full))
        self.stack.append(self.names[full])

    def _global(self) -> None:
        module, name = (self.window.line(_LONGEST_NAME).decode("utf-8", "replace") for _ in range(2))
        self._named(module, name)

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise self.source.damaged("a global in it has no name")
        self._named(module, name)

    def _call(self, table: dict[str, Callable[[Machine, tuple[Any, ...]], Any]]) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Named or type(arguments) is not tuple:
            raise self.source.damaged("its pickle calls what is no function")
        if not function.known:
            self.stack.append(Opaque(function.name))
            return
        call = table.get(function.name)
        try:
            if call is None:
                raise TypeError
            self.stack.append(call(self, arguments))
        except (TypeError, ValueError) as wrong:  # too many arguments, or none of the kind
            shown = function.name.replace(" ", ".")
            raise self.source.damaged(f"its pickle calls {shown} as torch and numpy never do") from wrong

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is Namespace and type(state) is dict:
            self.budget.spend(len(state))
            target.update(state)
        elif type(target) is Dtype:
            if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", "|", "="):
                raise self.source.damaged("it has numbers of another byte order")
        elif type(target) is Ordered and type(state) is dict and [*state][:2] == ["_metadata"]:
            return  # versions of the layers; no number depends on them
        elif type(target) is not Opaque:
            raise self.source.damaged("its pickle sets attributes of what has none")

    def _persistent(self) -> None:
        if self.persistent is None:
            raise self.source.damaged("its pickle refers to objects outside of it")
        self.stack.append(self.persistent(self.stack.pop()))


# --- what calls of known globals stand for ---------------------------------------------------------------------------


def _ordered(machine: Machine, arguments: tuple[Any, ...]) -> Ordered:
    pairs = arguments[0] if arguments else []
    if len(arguments) > 1 or type(pairs) is not list:
        raise TypeError
    machine.budget.spend(len(pairs))
    if any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
        raise TypeError
    return Ordered((machine._key(key), value) for key, value in pairs)


def _empty(kind: type) -> Callable[[Machine, tuple[Any, ...]], Any]:
    def make(_machine: Machine, arguments: tuple[Any, ...]) -> Any:
        if arguments:
            raise TypeError
        return kind()

    return make


def _set(machine: Machine, arguments: tuple[Any, ...]) -> set[Any]:
    (items,) = arguments
    if type(items) is not list:
        raise TypeError
    machine.budget.spend(len(items))  # the same list can be handed over any number of times
    return set(map(machine._key, items))


def _dtype(machine: Machine, arguments: tuple[Any, ...]) -> Dtype:
    code, *flags = arguments
    if type(code) is not str or len(flags) > 2:
        raise TypeError
    if code not in _NUMBERS:
        raise machine.source.damaged(f"it has numpy values of the type {code[:20]!r}, which are no plain numbers")
    return Dtype(code)


def _scalar(machine: Machine, arguments: tuple[Any, ...]) -> Any:
    dtype, data = arguments
    if type(dtype) is not Dtype or type(data) not in (Span, Encoded):
        raise TypeError
    form = "<" + _NUMBERS[dtype.code]
    if len(data.text if type(data) is Encoded else data) != struct.calcsize(form):
        raise TypeError
    if type(data) is Encoded:
        return struct.unpack(form, machine.source.unpack(data.text).read(0, struct.calcsize(form)))[0]
    return struct.unpack(form, machine.source.read(data.begin, len(data)))[0]


def _encoded(_machine: Machine, arguments: tuple[Any, ...]) -> Encoded:
    text, coding = arguments
    if type(text) not in (str, Text) or coding != "latin1":
        raise TypeError
    return Encoded(text)


def _array(_machine: Machine, _arguments: tuple[Any, ...]) -> Opaque:
    return Opaque("numpy ndarray")


def _tensor(machine: Machine, arguments: tuple[Any, ...]) -> Stored:
    storage, offset, size, stride, *rest = arguments
    if not 2 <= len(rest) <= 3:
        raise TypeError
    return Stored.checked(machine.source, storage, offset, size, stride)


def _parameter(_machine: Machine, arguments: tuple[Any, ...]) -> Stored:
    stored, _gradient, _hooks = arguments
    if type(stored) is not Stored:
        raise TypeError
    return stored


def _module(machine: Machine, arguments: tuple[Any, ...]) -> Module:
    (meta,) = arguments
    if type(meta) is not dict or meta.get("type") != "class" or type(meta.get("version")) is not int:
        raise TypeError
    if meta["version"] not in _MODULE_VERSIONS:
        raise machine.source.damaged(f"it has layers of the persistence version {str(meta['version'])[:20]}")
    return Module(meta)


def _bytes(machine: Machine, arguments: tuple[Any, ...]) -> Storage:
    (data,) = arguments
    if type(data) not in (Span, Encoded) or machine.storage is None:
        raise TypeError
    return machine.storage(data)


_CALLS: dict[str, Callable[[Machine, tuple[Any, ...]], Any]] = {
    "collections OrderedDict": _ordered,
    **dict.fromkeys(_SETS, _set),
    "argparse Namespace": _empty(Namespace),
    "_codecs encode": _encoded,
    "numpy dtype": _dtype,
    **{f"numpy.{core}.multiarray scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray _reconstruct": _array for core in ("core", "_core")},
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch.storage _load_from_bytes": _bytes,
    "torch_utils.persistence _reconstruct_persistent_obj": _module,
}
_NEW: dict[str, Callable[[Machine, tuple[Any, ...]], Any]] = {
    "collections OrderedDict": _empty(Ordered),
    "dnnlib.util EasyDict": _empty(Ordered),
    "argparse Namespace": _empty(Namespace),
}

# --- the instructions ------------------------------------------------------------------------------------------------


def _protocol(m: Machine) -> None:
    if m.window.take(1)[0] not in range(2, 6):
        raise m.source.damaged("its pickle has a protocol that is none of 2 to 5")


def _frame(m: Machine) -> None:
    if m._number("<Q") > m.window.end - m.window.at:
        raise m.source.truncated()


def _set_item(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m._set_items([key, value])


_STOP = ord(".")
_STEPS: dict[int, Callable[[Machine], object]] = {
    0x80: _protocol,
    0x95: _frame,
    ord("("): Machine._mark,
    ord(")"): lambda m: m.stack.append(()),
    ord("t"): Machine._marked_tuple,
    0x85: lambda m: m._tuple(1),
    0x86: lambda m: m._tuple(2),
    0x87: lambda m: m._tuple(3),
    ord("]"): lambda m: m.stack.append([]),
    ord("a"): lambda m: m._append([m.stack.pop()]),
    ord("e"): lambda m: m._append(m._marked()),
    ord("}"): lambda m: m.stack.append({}),
    ord("s"): _set_item,
    ord("u"): lambda m: m._set_items(m._marked()),
    0x8F: lambda m: m.stack.append(set()),
    0x90: lambda m: m._add(m._marked()),
    ord("N"): lambda m: m.stack.append(None),
    0x88: lambda m: m.stack.append(True),
    0x89: lambda m: m.stack.append(False),
    ord("J"): lambda m: m.stack.append(m._number("<i")),
    ord("K"): lambda m: m.stack.append(m._number("<B")),
    ord("M"): lambda m: m.stack.append(m._number("<H")),
    0x8A: lambda m: m._long(m._number("<B")),
    0x8B: lambda m: m._long(m._number("<i")),
    ord("G"): lambda m: m.stack.append(m._number(">d")),
    ord("X"): lambda m: m._text(m._number("<I")),
    0x8C: lambda m: m._text(m._number("<B")),
    0x8D: lambda m: m._text(m._number("<Q")),
    ord("B"): lambda m: m.stack.append(m.window.skip(m._number("<I"))),
    ord("C"): lambda m: m.stack.append(m.window.skip(m._number("<B"))),
    0x8E: lambda m: m.stack.append(m.window.skip(m._number("<Q"))),
    0x96: lambda m: m.stack.append(m.window.skip(m._number("<Q"))),
    ord("q"): lambda m: m._put(m._number("<B")),
    ord("r"): lambda m: m._put(m._number("<I")),
    0x94: lambda m: m._put(len(m.memo)),
    ord("h"): lambda m: m._get(m._number("<B")),
    ord("j"): lambda m: m._get(m._number("<I")),
    ord("c"): Machine._global,
    0x93: Machine._stack_global,
    ord("R"): lambda m: m._call(_CALLS),
    0x81: lambda m: m._call(_NEW),
    ord("b"): Machine._build,
    ord("Q"): Machine._persistent,
}
