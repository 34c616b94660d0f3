"""StyleGAN2 networks in the pickles of stylegan2-ada-pytorch and of the stylegan3 repository -> ours.

What a network is stands in its tensors and in the attributes of its layers, which are what its program computes with;
the settings it was made with are asked only for an attribute that is not there. Tables of tensors under the same names,
as `core.foreign.writing` makes them, have the settings alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from core.errors import CheckpointError
from core.foreign import nvidia_names as names
from core.foreign.filling import Networks
from core.foreign.inert import Module, Stored, credit_of, holds_tensors, plain
from core.foreign.source import Source

__all__ = ["Network", "apart", "check_kind", "check_rest", "is_table", "networks", "parts_of", "program", "unknown"]

_DEEPEST = 8
_MOST_MODULES = 4000
_NAME = re.compile(r"\w{1,100}", re.ASCII)
_KNOWN = {
    "MappingNetwork", "SynthesisNetwork", "SynthesisBlock", "SynthesisLayer", "ToRGBLayer", "FullyConnectedLayer",
    "Conv2dLayer", "DiscriminatorBlock", "DiscriminatorEpilogue", "MinibatchStdLayer",
}  # fmt: skip
_BESIDE = {"augment_pipe"}  # what training needs and pictures do not
_STYLEGAN3 = re.compile(r"synthesis\.(input|L\d+_\w+)(\..*)?|.*\.magnitude_ema")


@dataclass
class Network:
    """A network in a pickle, flat: its tensors and its modules by their dotted names, the network itself as ''."""

    source: Source
    label: str
    tensors: dict[str, Stored] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    bare: bool = False  # a table of tensors, whose layers say nothing of themselves

    @property
    def later(self) -> bool:
        """Whether a generator is of the stylegan3 repository, whose layers keep more attributes."""
        return "in_channels" in self.modules.get("synthesis.b4.conv1", Module({})).state

    def settings(self, name: str = "") -> dict[str, Any]:
        """What a module was made with, as far as it was said."""
        module = self.modules.get(name)
        found = module.state.get("_init_kwargs") if module is not None else None
        return found if isinstance(found, dict) else {}

    def inner_settings(self) -> list[dict[str, Any]]:
        """The tables that the network as a whole was made with, those inside it too."""
        top = self.settings()
        return [top, *(table for key, table in top.items() if str(key).endswith("_kwargs") and isinstance(table, dict))]

    def attribute(self, name: str, key: str, default: Any) -> Any:
        """An attribute of a module; where it has none, what it was made with; else `default`."""
        module = self.modules.get(name)
        state = module.state if module is not None else {}
        return state[key] if key in state else self.settings(name).get(key, default)


def _taken_apart(source: Source, label: str, top: Module) -> Network:
    """The tensors and modules of a network. Raises CheckpointError where they are nested as no network's are."""
    network = Network(source, label)
    waiting = [("", top, 0)]
    while waiting:
        path, module, depth = waiting.pop()
        if depth > _DEEPEST or len(network.modules) >= _MOST_MODULES:
            raise source.damaged(f"{label} has layers inside layers without end")
        network.modules[path] = module
        before = f"{path}." if path else ""
        for table in ("_parameters", "_buffers", "_modules"):
            inner = module.state.get(table)
            if not isinstance(inner, dict):
                raise source.damaged(f"{label} has a layer without {table}")
            for name, value in inner.items():
                if type(name) is not str or not _NAME.fullmatch(name):
                    raise source.damaged(f"{label} has a layer whose name is no word")
                if value is None:
                    continue
                if before + name in network.tensors:
                    raise source.damaged(f"{label} has two things of the name {(before + name)[:60]}")
                if table == "_modules" and isinstance(value, Module):
                    waiting.append((before + name, value, depth + 1))
                elif table != "_modules" and isinstance(value, Stored):
                    network.tensors[before + name] = value
                else:
                    raise source.damaged(f"{label} has something else where {(before + name)[:60]} should be")
    return network


def parts_of(root: Any) -> dict[str, Module]:
    """The networks of a pickle by their keys: G_ema, G and D as far as they are there."""
    if type(root) is Module:
        return {"G_ema": root}
    if not isinstance(root, dict):
        return {}
    return {key: root[key] for key in ("G_ema", "G", "D") if type(root.get(key)) is Module}


def is_table(root: Any) -> bool:
    """Whether this is a table of tables of tensors under these names, with the settings beside them."""
    return isinstance(root, dict) and all(isinstance(root.get(key), dict) for key in ("G_ema", "G_kwargs"))


def apart(source: Source, root: Any) -> dict[str, Network]:
    """The networks of a file by their keys, flat. Raises CheckpointError where they are none."""
    if not is_table(root):
        return {key: _taken_apart(source, key, top) for key, top in parts_of(root).items()}
    return {key: _from_table(source, key, root) for key in ("G_ema", "G", "D") if isinstance(root.get(key), dict)}


def _from_table(source: Source, label: str, root: dict[Any, Any]) -> Network:
    """A network of a table of tensors, whose modules say what the settings in the file do."""
    network = Network(source, label, bare=True)
    for name, value in root[label].items():
        if type(name) is not str or type(value) is not Stored:
            raise source.damaged(f"not everything in {label} is a tensor with a name")
        network.tensors[name] = value
    settings = _table(root, f"{label[0]}_kwargs")

    def module(kind: str, **attributes: Any) -> Module:
        return Module({"class_name": kind, "state": attributes})

    network.modules[""] = module("", _init_kwargs=settings)
    network.modules["mapping"] = module("MappingNetwork", _init_kwargs=_table(settings, "mapping_kwargs"))
    deviation = _table(settings, "epilogue_kwargs")
    few = deviation.get("mbstd_num_channels", 1)
    if few != 0:
        group = deviation.get("mbstd_group_size", 4)
        network.modules["b4.mbstd"] = module("MinibatchStdLayer", group_size=group, num_channels=few)
    return network


def _table(root: dict[Any, Any], key: str) -> dict[Any, Any]:
    found = root.get(key)
    return found if isinstance(found, dict) else {}


def check_kind(source: Source, root: Any) -> None:
    """Raise CheckpointError for networks that are recognised and cannot be built here."""
    found = _is_stylegan3(_names_in(root))
    for network in () if found else apart(source, root).values():
        kinds = {module.kind for module in network.modules.values()}
        found = found or "SynthesisInput" in kinds or _is_stylegan3([*network.tensors, *network.modules])
    if found:
        raise CheckpointError(
            f"{source.path} is a StyleGAN3 network, whose layers this version does not have; "
            "only StyleGAN2 networks of that repository can be read"
        )


def _is_stylegan3(names: Iterable[str]) -> bool:
    return any(map(_STYLEGAN3.fullmatch, names))


def _names_in(root: Any) -> list[str]:
    """The names in a table, and in the tables in it; one that is there under many names is looked at once."""
    tables = {id(one): one for one in (root, *root.values()) if isinstance(one, dict)} if isinstance(root, dict) else {}
    return [name for table in tables.values() for name in table if type(name) is str]


def check_rest(source: Source, root: Any, flat: dict[str, Network]) -> None:
    """Raise CheckpointError where tensors lie in something else than the networks."""
    if isinstance(root, dict):
        rest = [str(plain(k)) for k, v in root.items() if k not in {*flat, *_BESIDE} and holds_tensors(v)]
        if rest:
            raise source.damaged(f"it holds tensors that belong to no network known here, in {', '.join(rest)[:200]}")


def unknown(source: Source, root: Any) -> CheckpointError:
    """The error for a pickle without a generator."""
    keys = ", ".join(str(plain(key))[:40] for key in list(root)[:6]) if isinstance(root, dict) else ""
    return CheckpointError(f"{source.path} holds no network of a kind known here; it has {keys or 'no table'}")


def program(network: Network) -> str:
    """Whose generator it is, in words."""
    if network.bare:
        return "StyleGAN2 under NVIDIA's names"
    return "StyleGAN2 of the stylegan3 repository" if network.later else "stylegan2-ada-pytorch"


def networks(source: Source, root: Any, *, generator_only: bool) -> Networks:
    """What a file holds, checked and not read. Raises CheckpointError."""
    flat = apart(source, root)
    shown = next((key for key in ("G_ema", "G") if key in flat), None)
    if shown is None:
        raise unknown(source, root)
    check_rest(source, root, flat)
    for network in flat.values():
        strange = {str(plain(m.kind)) for path, m in network.modules.items() if path and m.kind not in _KNOWN}
        if strange:
            listed = ", ".join(sorted(strange))[:120]
            raise CheckpointError(f"{source.path} has layers of a kind that this version cannot build: {listed}")
    generator = names.generator(flat[shown])
    live = names.generator(flat["G"]) if shown != "G" and "G" in flat and not generator_only else None
    critic = names.discriminator(flat["D"]) if "D" in flat and not generator_only else None
    halves = _halves(flat[shown])
    notes = [f"its program computes {halves} of its sizes in float16; here they are float32"] if halves else []
    settings = plain(root.get("training_set_kwargs")) if isinstance(root, dict) else None
    training = {}
    if isinstance(settings, dict):
        training = {"settings": settings}
        if isinstance(settings.get("path"), str):
            training["data"] = settings["path"]
    credit = credit_of(root)
    return Networks(program(flat[shown]), generator, critic, live, training=training, notes=notes, credit=credit)


def _halves(network: Network) -> int:
    """How many of its sizes a network computes in float16."""
    if network.bare:
        told = [table.get("num_fp16_res") for table in network.inner_settings()]
        return max([number for number in told if type(number) is int and 0 < number < 64], default=0)
    return sum(module.state.get("use_fp16") is True for module in network.modules.values())
