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


@pytest.mark.parametrize("value", ["3", "null", "[1]", "text"])
def test_a_nested_field_that_holds_no_keys_is_told(tmp_path, value):
    with pytest.raises(ConfigError, match="'recipe' is"):
        config.resolve(config.TrainConfig, {"corpora": ["a"]}, preset=write(tmp_path, "p", f"recipe: {value}\n"))
