"""Recipes: JSON both ways, every range of the contract, and what people and programs may send."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SettingError, StyloscopeError
from explorer import schema
from explorer.recipe import Blend, Grown, Mix, Recipe, Steer, Toward, between, blended

CONTRACT = """{"checkpoint": "brain", "seed": 7, "label": null, "psi": 0.7, "cutoff": null, "noise": "const",
 "mix": [{"seed": 12, "layers": "4-7", "amount": 1.0}],
 "steer": [{"direction": "sefa-3", "amount": 1.5, "layers": "0-5"}],
 "toward": {"seed": 9, "t": 0.35, "space": "w"},
 "blend": [{"seed": 3, "weight": 0.25}, {"seed": 4, "weight": 0.75}],
 "grown": {"size": [56, 48], "alpha": 0.3}}"""


def test_the_contracts_own_example() -> None:
    recipe = Recipe.parse(CONTRACT)
    assert recipe == Recipe(
        checkpoint="brain",
        seed=7,
        mix=(Mix(seed=12, layers="4-7"),),
        steer=(Steer("sefa-3", 1.5, "0-5"),),
        toward=Toward(given=(("seed", 9),), t=0.35),
        blend=(Blend((("seed", 3),), 0.25), Blend((("seed", 4),), 0.75)),
        grown=Grown((56, 48), 0.3),
    )
    assert Recipe.parse(recipe.json()) == recipe
    assert Recipe.parse(recipe.full()) == recipe
    hash(recipe)


def test_defaults_are_left_out_and_filled_in() -> None:
    assert Recipe.parse("{}") == Recipe() and Recipe().json() == "{}"
    assert Recipe(seed=3).full() == {
        "checkpoint": None, "seed": 3, "label": None, "psi": 0.7, "cutoff": None, "noise": "const",
        "mix": [], "steer": [], "toward": None, "blend": [], "grown": None,
    }  # fmt: skip
    assert Recipe.parse({"mix": None, "blend": None, "toward": None}) == Recipe()
    assert Recipe.parse({"mix": [{"seed": 1, "layers": "2, 0,1,5"}]}).to_dict() == {
        "mix": [{"seed": 1, "layers": "0-2,5", "amount": 1.0}]
    }
    assert Recipe.parse({"seed": 1, "sha": "0123456789ab"}).full()["sha"] == "0123456789ab"
    assert "seed" not in Recipe(point="Ann 2").full()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"nose": 1}', r"'nose'.*did you mean noise\?"),
        ('{"toward": {"seeds": 1}}', r"toward.*'seeds'.*did you mean seed\?"),
        ('{"mix": [{"seed": 1}, {"amout": 1}]}', r"mix\[1\].*did you mean amount\?"),
        ('{"blend": [{"toward": {}}]}', r"blend\[0\].*'toward'"),
        ('{"psi": NaN}', "NaN"),
        ('{"psi": 1e999}', r"psi cannot be 'inf'.*-5 to 5"),
        ('{"psi": 5.01}', "psi cannot be '5.01'.*-5 to 5"),
        ('{"psi": "0.7"}', "psi"),
        ('{"psi": true}', "psi cannot be 'true'"),
        ('{"seed": -1}', "seed cannot be '-1'.*0 to 4294967295"),
        ('{"seed": 4294967296}', "seed"),
        ('{"seed": 7.0}', "seed"),
        ('{"seed": true}', "seed"),
        ('{"seed": null}', "seed"),
        ('{"seed": [7]}', "seed cannot be 'a list of 1'"),
        ('{"label": -1}', "label"),
        ('{"cutoff": -1}', "cutoff"),
        ('{"cutoff": 1.5}', "cutoff"),
        ('{"noise": "Const"}', "noise.*const, none or a whole number"),
        ('{"noise": -1}', "noise"),
        ('{"noise": 1.5}', "noise"),
        ('{"noise": true}', "noise"),
        ('{"mix": [{"seed": 1, "amount": 1.1}]}', r"mix\[0\].amount cannot be '1.1'.*0 to 1"),
        ('{"mix": [{"seed": 1, "layers": "9-3"}]}', r"mix\[0\].layers cannot be '9-3'"),
        ('{"mix": [{"seed": 1, "layers": "0-64"}]}', r"mix\[0\].layers"),
        ('{"mix": [{"seed": 1, "layers": ""}]}', r"mix\[0\].layers"),
        ('{"mix": {"seed": 1}}', "mix"),
        ('{"mix": [3]}', r"mix\[0\]"),
        ('{"steer": [{"amount": 1}]}', r"steer\[0\].direction"),
        ('{"steer": [{"direction": "../x"}]}', r"steer\[0\].direction"),
        ('{"point": "../../etc/passwd"}', "point"),
        ('{"toward": {"seed": 1, "t": 1.5}}', "toward.t cannot be '1.5'.*0 to 1"),
        ('{"toward": {"seed": 1, "t": 0.5, "space": "v"}}', "toward.space cannot be 'v'.*w or z"),
        ('{"blend": [{"seed": 1, "weight": 0.6}, {"seed": 2, "weight": 0.6}]}', "blend.weight cannot be '1.2 in sum'"),
        ('{"blend": [{"seed": 1, "weight": Infinity}]}', "Infinity"),
        ('{"grown": {"alpha": 1}}', "grown.size"),
        ('{"grown": {"size": [4], "alpha": 1}}', "grown.size"),
        ('{"seed": 1, "seed": 2}', "seed is given twice"),
        ('{"sha": "xyz"}', "sha"),
        ("[]", "recipe cannot be 'a list of 0'"),
        ("", "recipe"),
        ("{", "recipe"),
        ("[" * 100_000, "recipe"),
        ('{"mix": ' + "[" * 5000 + "]" * 5000 + "}", "recipe|mix"),
        ('{"psi": ' + "9" * 5000 + "}", "recipe"),
        ('{"psi": ' + "9" * 4000 + "}", "psi cannot be 'a very large number'"),
        ('{"checkpoint": "a\\u0000b"}', "checkpoint"),
        (" " * (2 << 20), "at most"),
        (b"\xff\xfe{", "recipe"),
        (json.dumps({"mix": [{"seed": 1}] * 65}), "mix.*at most 64"),
        (json.dumps({"blend": [{"seed": 1, "weight": 1 / 65}] * 65}), "blend.*at most 64"),
    ],
)
def test_what_is_wrong_is_named(text: str | bytes, says: str) -> None:
    with pytest.raises(SettingError, match=says) as wrong:
        Recipe.parse(text)
    assert len(str(wrong.value)) < 500


def test_too_many_sources() -> None:
    entries = [{"seed": k, "weight": 1 / 64, "mix": [{"seed": 100 * k + j} for j in range(64)]} for k in range(64)]
    with pytest.raises(SettingError, match="at most 256"):
        Recipe.parse({"blend": entries})


def test_fields_left_out_of_another_picture_are_this_recipes() -> None:
    recipe = Recipe.parse({"seed": 1, "psi": 0.5, "mix": [{"seed": 8}], "toward": {"seed": 2, "t": 0.5, "label": 3}})
    assert recipe.end == Recipe(seed=2, psi=0.5, mix=(Mix(seed=8),), label=3)
    recipe = Recipe.parse({"point": "ann", "toward": {"seed": 2, "t": 0.5}})
    assert recipe.end == Recipe(seed=2)
    recipe = Recipe.parse({"seed": 1, "psi": 0.5, "toward": {"seed": 2, "psi": 1, "t": 0.5, "space": "z"}})
    assert recipe.end == Recipe(seed=2, psi=0.5)


def test_another_picture_of_the_same_network_stays_with_the_recipe() -> None:
    for name in ("a", None):
        others = {"toward": {"checkpoint": name, "seed": 2}, "blend": [{"checkpoint": name, "seed": 3}]}
        named = Recipe.parse({"checkpoint": "a", **others})
        assert named == Recipe.parse({"checkpoint": "a", "toward": {"seed": 2}, "blend": [{"seed": 3}]})


def test_a_seed_or_a_point_takes_the_place_of_every_other_picture() -> None:
    others = {"toward": {"seed": 9, "t": 1}, "blend": [{"seed": 3}], "psi": 0.5}
    base = Recipe.parse({"point": "ann", **others})
    assert base.with_seed(4) == Recipe(seed=4, psi=0.5)
    assert base.with_point("bob") == Recipe(point="bob", psi=0.5)


def test_between_two_recipes() -> None:
    a, b = Recipe(seed=1, psi=0.5), Recipe(seed=2, mix=(Mix(seed=4, layers="0-1"),))
    assert between(a, b, 0.0) == a and between(a, b, 1.0) == b
    middle = between(a, b, 0.25)
    assert middle.pictures() == [(0.75, a), (0.25, b)]
    assert Recipe.parse(middle.json()) == middle
    plane = blended([(0.5, a), (0.25, b), (0.25, Recipe(seed=9))])
    walk = between(plane, middle, 0.5)
    assert [weight for weight, _ in walk.pictures()] == [0.25, 0.125, 0.125, 0.375, 0.125]
    assert [one for _, one in walk.pictures()] == [a, b, Recipe(seed=9), a, b]
    assert Recipe.parse(walk.json()) == walk
    assert between(Recipe(seed=1), Recipe(seed=2), 0.5, space="z").toward == Toward((("seed", 2),), 0.5, "z")
    with pytest.raises(SettingError, match="more than their seed"):
        between(a, Recipe(seed=2), 0.5, space="z")
    with pytest.raises(SettingError, match="only plain seeds"):
        between(plane, Recipe(seed=2), 0.5, space="z")
    with pytest.raises(SettingError, match="checkpoint"):
        between(replace(a, checkpoint="brain"), replace(b, checkpoint="knee"), 0.5)


seeds = st.integers(0, 2**32 - 1)
layers = st.none() | st.sets(st.integers(0, 63), min_size=1).map(lambda found: ",".join(map(str, found)))
shares = st.floats(0, 1)
mixes = st.fixed_dictionaries(
    {"seed": seeds}, optional={"layers": layers, "amount": shares, "label": st.integers(0, 9)}
)
fields = {
    "seed": seeds,
    "label": st.none() | st.integers(0, 65535),
    "psi": st.floats(-5, 5),
    "cutoff": st.none() | st.integers(0, 64),
    "noise": st.sampled_from(["const", "none"]) | seeds,
    "mix": st.lists(mixes, max_size=3),
}
others = st.fixed_dictionaries({"t": shares}, optional={**fields, "space": st.sampled_from(["w", "z"])})
recipes = st.fixed_dictionaries(
    {}, optional={**fields, "checkpoint": st.sampled_from(["a", "b/000012"]), "toward": others}
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(schema.RECIPE)), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(recipes)
def test_json_comes_back_the_same(values: dict[str, object]) -> None:
    recipe = Recipe.parse(json.dumps(values))
    assert Recipe.parse(recipe.json()) == recipe
    assert Recipe.parse(json.dumps(recipe.full())) == recipe
    assert Recipe.parse(recipe.json()).json() == recipe.json()


@settings(max_examples=120, deadline=None)
@given(anything)
def test_anything_else_is_refused_in_one_sentence(value: object) -> None:
    try:
        Recipe.parse(value)  # type: ignore[arg-type]
    except StyloscopeError as wrong:
        assert str(wrong)


def test_the_schema_is_json() -> None:
    assert json.loads(json.dumps(schema.SCHEMA))["properties"]["psi"]["maximum"] == 5


def test_a_number_of_many_digits_is_refused_in_words_for_people() -> None:
    with pytest.raises(SettingError, match=r"it has to be JSON \(a number in it has too many digits\)"):
        schema.loads('{"seed": ' + "1" * 5000 + "}")
