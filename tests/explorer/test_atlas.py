"""The map: PCA exact, UMAP kept by content, and the stage's place on both."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import OutputError, SettingError
from explorer import atlas, atlas_picture
from explorer.recipe import Recipe
from explorer.studio import Studio


def _pretend(found: atlas.Atlas) -> atlas.Atlas:
    """The map with a UMAP that nobody had to wait for: the PCA turned by a right angle."""
    return replace(found, umap=np.ascontiguousarray(found.pca[:, ::-1] * [1, -1]).astype(np.float32))


def _hold(own: Studio, found: atlas.Atlas, name: str) -> Path:
    """Keep a map where its own folder is."""
    network = own.network(name)
    return atlas._keep(atlas._places(network, atlas._key(network, found)), found)


def test_pca_by_hand_and_places(own: Studio) -> None:
    found = atlas.survey(own, "brain", samples=40)
    assert found.method == "pca" and found.pca.shape == (40, 2)
    centred = found.samples - found.samples.mean(axis=0)
    values = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    assert np.allclose(np.square(found.pca).sum(axis=0), values[:2], rtol=1e-3)
    for seed in (0, 7, 39):
        x, y = atlas.place(own, found, Recipe(checkpoint="brain", seed=seed))
        assert np.allclose((x, y), found.pca[seed], atol=1e-4)
    average = atlas.place(own, found, Recipe(checkpoint="brain", seed=7, psi=0))
    assert np.allclose(average, (found.w_avg - found.mean) @ found.axes.T, atol=1e-4)


def test_places_on_the_umap_are_dots_for_seeds_and_between_them_else(own: Studio) -> None:
    found = _pretend(atlas.survey(own, "brain", samples=60))
    for seed in (0, 7, 59):
        assert np.allclose(
            atlas.place(own, found, Recipe(checkpoint="brain", seed=seed)), found.points()[seed], atol=1e-4
        )
    x, y = atlas.place(own, found, Recipe.parse({"seed": 1, "toward": {"seed": 2, "t": 0.5}}))
    assert found.points()[:, 0].min() <= x <= found.points()[:, 0].max() and np.isfinite(y)


def test_a_kept_map_is_found_by_content(own: Studio, tmp_path: Path) -> None:
    found = _pretend(atlas.survey(own, "brain", samples=40))
    assert not atlas.cached(own, found, "brain")
    network = own.network("brain")
    path = _hold(own, found, "brain")
    assert path.parent == tmp_path / "checkpoints" and network.sha in path.name and path.stat().st_size < 4000
    assert atlas.cached(own, found, "brain") and atlas.survey(own, "brain", samples=41).umap is None
    again = atlas.survey(own, "brain", samples=40)
    assert again.umap is not None and np.array_equal(again.umap, found.umap)
    (tmp_path / "checkpoints" / "brain.safetensors").rename(tmp_path / "checkpoints" / "skull.safetensors")
    assert atlas.survey(own, "skull", samples=40).umap is not None
    path.write_bytes(b"PK\x03\x04 damaged")
    assert atlas.survey(own, "skull", samples=40).umap is None


@pytest.mark.skipif(os.name == "nt", reason="a folder cannot be made read-only this way on Windows")
def test_a_folder_that_cannot_be_written_falls_back_to_the_persons_cache(
    own: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _pretend(atlas.survey(own, "brain", samples=40))
    closed = tmp_path / "checkpoints"
    monkeypatch.setattr("core.files.os.access", lambda path, mode: Path(path) != closed)
    path = _hold(own, found, "brain")
    assert closed not in path.parents
    assert atlas.survey(own, "brain", samples=40).umap is not None


def test_table_and_picture_are_written_both_or_neither(own: Studio, tmp_path: Path) -> None:
    found = atlas.survey(own, "colour", samples=3)
    table, picture = tmp_path / "out" / "map.csv", tmp_path / "out" / "map.png"
    picture.mkdir(parents=True)
    table.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="map.png"):
        atlas_picture.write(table, picture, found)
    assert table.read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in table.parent.iterdir()) == ["map.csv", "map.png"]


def test_csv_and_picture(own: Studio, tmp_path: Path) -> None:
    found = atlas.survey(own, "colour", samples=3, label=2)
    atlas_picture.write(tmp_path / "map.csv", tmp_path / "map.png", found)
    with open(tmp_path / "map.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1", "2"] and float(rows[1]["x"]) == pytest.approx(
        found.pca[1, 0], 1e-4
    )
    picture = atlas_picture.drawn(found, side=120)
    assert (
        picture.shape == (120, 120) and picture.dtype == np.uint8 and picture.max() > 120 and np.median(picture) == 18
    )


def test_a_map_by_class(own: Studio, tmp_path: Path) -> None:
    found = atlas.survey(own, "colour", samples=40, by_class=True)
    assert found.classes == 3
    for label in range(3):
        alone = atlas.survey(own, "colour", samples=40, label=label).samples
        assert np.allclose(found.samples[label::3], alone[label::3], atol=1e-5)
        assert not np.allclose(found.samples[(label + 1) % 3 :: 3], alone[(label + 1) % 3 :: 3], atol=1e-3)
    recipe = Recipe(checkpoint="colour", seed=8, label=8 % 3)
    assert atlas.place(own, found, recipe) == pytest.approx(found.pca[8], abs=1e-3)
    atlas_picture.write(tmp_path / "map.csv", tmp_path / "map.png", found)
    with open(tmp_path / "map.csv", encoding="utf-8") as file:
        assert [int(row["class"]) for row in csv.DictReader(file)] == [seed % 3 for seed in range(40)]
    picture = atlas_picture.drawn(found, side=120)
    assert picture.shape == (120, 120, 3) and len(np.unique(picture.reshape(-1, 3).argmax(axis=1))) == 3
    path = _hold(own, _pretend(found), "colour")
    assert ".classes." in path.name and atlas.survey(own, "colour", samples=40).umap is None
    assert atlas.survey(own, "colour", samples=40, by_class=True).umap is not None
    with pytest.raises(SettingError, match="by_class cannot be 'true': brain has no classes"):
        atlas.survey(own, "brain", by_class=True)
    with pytest.raises(SettingError, match="by_class.*not both"):
        atlas.survey(own, "colour", label=1, by_class=True)


@pytest.mark.parametrize("samples", [0, -1, 10**9])
def test_samples_out_of_range(own: Studio, samples: int) -> None:
    with pytest.raises(SettingError, match="samples.*1 to 50000"):
        atlas.survey(own, "brain", samples=samples)


def test_one_and_two_samples_are_a_map_too(own: Studio) -> None:
    assert atlas.survey(own, "brain", samples=1).pca.tolist() == [[0.0, 0.0]]
    assert np.isfinite(atlas.survey(own, "brain", samples=2).pca).all()
    with pytest.raises(SettingError, match="at least 20"):
        atlas.with_umap(own, atlas.survey(own, "brain", samples=2), "brain")


def test_umap_itself(own: Studio) -> None:
    pytest.importorskip("umap")
    seen: list[tuple[int, int]] = []
    found = atlas.with_umap(
        own, atlas.survey(own, "brain", samples=60), "brain", progress=lambda done, total: seen.append((done, total))
    )
    assert found.umap is not None and found.umap.shape == (60, 2) and np.isfinite(found.umap).all()
    assert seen and seen[-1][0] <= seen[-1][1] and atlas.cached(own, found, "brain")
