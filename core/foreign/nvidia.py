"""StyleGAN2 networks in the pickles of stylegan2-ada-pytorch and of the stylegan3 repository -> ours.

What a network is stands in its tensors and in the attributes of its layers, which are what its program computes with;
the settings it was made with are asked only for an attribute that is not there. Tables of tensors under the same names,
as `core.foreign.writing` makes them, have the settings alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from core.errors import CheckpointError
from core.foreign import nvidia_names as names
from core.foreign.filling import Networks
from core.foreign.inert import credit_of, holds_tensors, plain
from core.foreign.nvidia_flat import Network, apart
from core.foreign.source import KINDS, Source

__all__ = ["check_kind", "check_rest", "networks", "program", "unknown"]

_KNOWN = {
    "MappingNetwork", "SynthesisNetwork", "SynthesisBlock", "SynthesisLayer", "ToRGBLayer", "FullyConnectedLayer",
    "Conv2dLayer", "DiscriminatorBlock", "DiscriminatorEpilogue", "MinibatchStdLayer",
}  # fmt: skip
_BESIDE = {"augment_pipe"}  # what training needs and pictures do not
_STYLEGAN3 = re.compile(r"synthesis\.(input|L\d+_\w+)(\..*)?|.*\.magnitude_ema")


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
    return CheckpointError(f"{source.path} holds no network of a kind known here; it has {keys or 'no table'}; {KINDS}")


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
