"""The size of films is one choice: every menu shows it, and Save as says it and keeps to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("gradio")

from tests.browser.conftest import complaints
from tests.browser.test_panels import find, open_tab, type_into, until


def test_save_as_goes_by_the_size_that_a_panel_says(tab: Any, downloads: Path) -> None:
    open_tab(tab, "Interpolate")
    type_into(tab, "[aria-label=Seeds]", "1, 2")
    type_into(tab, "[aria-label=Steps][type=number]", 2)
    until(lambda: tab.execute_script("return stage.walk?.steps") == 2)
    item, before = "#save-menu [data-save=webp]", set(downloads.iterdir())
    find(tab, "#save").click()
    assert find(tab, item).text == "Walk as WebP"
    find(tab, "#save").click()
    type_into(tab, "#interpolate-panel [aria-label='Film size']", "4")
    find(tab, "#save").click()
    said = [one.text for one in tab.find_elements("css selector", "#save-menu [role=menuitem]")]
    assert said[3:5] == ["Walk as GIF, 4×", "Walk as WebP, 4×"] and said[1] == "Recipe as JSON"
    find(tab, item).click()
    (film,) = until(lambda: [one for one in set(downloads.iterdir()) - before if one.suffix == ".webp"])
    with Image.open(film) as webp:
        assert (webp.n_frames, webp.size) == (3, (4 * 44, 4 * 52))
    film.unlink()
    assert not complaints(tab)
