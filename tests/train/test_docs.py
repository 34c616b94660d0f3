"""The manual's tables of flags and presets are what the program says."""

from __future__ import annotations

from pathlib import Path

import pytest

from train.config import Setting, settings
from train.presets import PRESETS

MANUAL = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
GROUPS = {setting.group for setting in settings()}


def row(setting: Setting) -> str:
    """One line of a table of flags."""
    default = "off" if setting.default is False else f"`{setting.default}`" if setting.default != "" else ""
    allowed = "" if setting.default is False else setting.allowed
    return f"| `{setting.flag}` | {default} | {allowed} | {setting.help} |"


@pytest.mark.parametrize("setting", settings(), ids=lambda setting: setting.name)
def test_a_flag_stands_in_the_manual_as_it_is(setting: Setting) -> None:
    assert row(setting) in MANUAL.splitlines()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stands_in_the_manual_as_it_is(name: str) -> None:
    (line,) = [line for line in MANUAL.splitlines() if line.startswith(f"| `{name}` |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    values = PRESETS[name].values
    assert cells[1] == PRESETS[name].about
    if values.get("arch") == "stylegan":
        shown = ("size", "filters", "batches", "fade", "stable", "w_dim")
        assert cells[2:8] == [str(values[key]).replace(",", ", ") for key in shown]
        return
    sizes = [values["size"], values["batch"], values["channel_base"], values["channel_max"], values["w_dim"]]
    assert cells[2:8] == [*map(str, sizes), f"{values['kimg']:g}"]
