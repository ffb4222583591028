"""How presets, defaults and the command line are laid over each other."""

import pytest

from mercli import config, presets
from mercli.config import Choice
from mercli.errors import ConfigError


def write(folder, name, text):
    (folder / f"{name}.yaml").write_text(text)
    return str(folder / f"{name}.yaml")


def test_a_preset_that_names_one_nested_key_keeps_the_defaults_of_the_others(tmp_path):
    made = config.resolve(
        config.ExtractConfig, {"corpora": ["a"]}, preset=write(tmp_path, "p", "recipe: {face: largest}\n")
    )
    assert made.recipe == config.Recipe(encoders=config.EMBEDDED, face="largest")


def test_another_head_on_the_command_line_leaves_the_presets_options_behind(tmp_path):
    preset = write(tmp_path, "p", "head: {name: concat, options: {hidden: 4}}\n")

    def head(flags, sets=()):
        return config.resolve(config.TrainConfig, {"corpora": ["a"], **flags}, preset=preset, sets=sets).head

    assert head({}) == head({"head.name": "concat"}) == Choice(name="concat", options={"hidden": 4})
    assert head({"head.name": "late"}) == Choice(name="late")
    assert head({"head.name": "late"}, ["dropout=0.1"]) == Choice(name="late", options={"dropout": 0.1})
    both = ["head.options.dropout=0.1", "head.name=late"]
    assert head({}, both) == head({}, both[::-1]) == Choice(name="late", options={"dropout": 0.1})


def test_a_preset_that_changes_its_bases_head_leaves_that_heads_options_behind(tmp_path):
    write(tmp_path, "under", "head: {name: concat, options: {hidden: 4}}\n")
    assert presets.load(write(tmp_path, "over", "base: under\nhead: {name: late}\n")) == {"head": {"name": "late"}}
    again = write(tmp_path, "again", "base: under\nhead: {name: late, options: {dropout: 0.5}}\n")
    assert presets.load(again) == {"head": {"name": "late", "options": {"dropout": 0.5}}}


@pytest.mark.parametrize("value", ["3", "null", "[1]"])
def test_a_nested_field_that_holds_no_keys_is_told(tmp_path, value):
    with pytest.raises(ConfigError, match="'recipe' is"):
        config.resolve(config.TrainConfig, {"corpora": ["a"]}, preset=write(tmp_path, "p", f"recipe: {value}\n"))


LEARNT = [
    f"{command}/{name.removeprefix('extract/')}"
    for name in presets.names()
    for command in ("train", "loco")
    if name.startswith("extract/") and f"{command}/{name.removeprefix('extract/')}" in presets.names()
]


@pytest.mark.parametrize("name", LEARNT)
def test_a_preset_that_learns_takes_its_features_as_the_extract_preset_of_its_name_makes_them(name):
    command, _, own = name.partition("/")
    document = presets.parse(presets.path_of(name).read_text(encoding="utf-8"), name)
    assert document["recipe"] == own, "named, not said again"
    assert "modalities" not in document
    loaded, extract = presets.load(own, command), presets.load(own, "extract")
    assert loaded["recipe"] == extract["recipe"]
    assert loaded.get("modalities") == extract.get("modalities")


def test_a_recipe_by_name_can_be_changed_above_it(tmp_path):
    under = write(tmp_path, "under", "recipe: foalnet\n")
    assert presets.load(under)["modalities"] == ["audio", "face"]
    over = write(tmp_path, "over", "base: under\nmodalities: [audio]\nrecipe: {precision: bf16}\n")
    loaded = presets.load(over)
    assert loaded["modalities"] == ["audio"]
    assert loaded["recipe"]["precision"] == "bf16"
    assert loaded["recipe"]["encoders"]["audio"] == {"name": "foalnet-audio"}


def test_a_recipe_that_is_none_is_told(tmp_path):
    with pytest.raises(ConfigError, match="foalnet"):
        presets.load(write(tmp_path, "one", "recipe: foalnett\n"))
    with pytest.raises(ConfigError, match="has none"):
        presets.load(write(tmp_path, "two", f"recipe: {write(tmp_path, 'bare', 'batch: 4')}\n"))
