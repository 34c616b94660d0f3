"""Addresses that open a panel, too."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import complaints, entered, shown
from tests.browser.test_panels import until

OPEN = "return document.querySelector('#panels [role=tab][aria-selected=true]')?.textContent.trim()"


@pytest.mark.parametrize(("asked", "title"), [("Steer", "Steer"), ("map", "Map"), ("nowhere", "Mix"), ("", "Mix")])
def test_an_address_opens_its_panel_once(tab: Any, app: str, asked: str, title: str) -> None:
    tab.get(f"{app}?recipe=%7B%22checkpoint%22%3A%22brain%22%2C%22seed%22%3A7%7D&panel={asked}")
    shown(tab, seed=7)
    assert until(lambda: tab.execute_script(OPEN)) == title
    tab.execute_script("stage.set({ seed: 8 })")
    entered(tab, 1)
    assert "panel" not in tab.current_url and "seed" in tab.current_url
    assert tab.execute_script(OPEN) == title and not complaints(tab)
