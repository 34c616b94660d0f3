"""A network of NVIDIA's programs, flat: out of the modules of a pickle, or out of a table of tensors and settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from core.foreign.inert import Module, Stored
from core.foreign.source import Source

__all__ = ["Network", "apart", "is_table"]

_DEEPEST = 8
_MOST_MODULES = 4000
_NAME = re.compile(r"\w{1,100}", re.ASCII)


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


def is_table(root: Any) -> bool:
    """Whether this is a table of tables of tensors under these names, with the settings beside them."""
    return isinstance(root, dict) and all(isinstance(root.get(key), dict) for key in ("G_ema", "G_kwargs"))


def apart(source: Source, root: Any) -> dict[str, Network]:
    """The networks of a file by their keys, flat. Raises CheckpointError where they are none."""
    if not is_table(root):
        return {key: _taken_apart(source, key, top) for key, top in _modules_of(root).items()}
    return {key: _from_table(source, key, root) for key in ("G_ema", "G", "D") if isinstance(root.get(key), dict)}


def _modules_of(root: Any) -> dict[str, Module]:
    """The networks of a pickle by their keys: G_ema, G and D as far as they are there."""
    if type(root) is Module:
        return {"G_ema": root}
    if not isinstance(root, dict):
        return {}
    return {key: root[key] for key in ("G_ema", "G", "D") if type(root.get(key)) is Module}


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
