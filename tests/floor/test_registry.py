import pickle
import subprocess
import sys
import textwrap

import pytest

from mercli import registry
from mercli.errors import ConfigError, PluginError


@pytest.fixture
def clean(monkeypatch):
    for kind in registry.KINDS:
        registry.specs(kind)
    monkeypatch.setattr(registry._state, "specs", dict(registry._state.specs))
    monkeypatch.setattr(registry._state, "broken", list(registry._state.broken))
    monkeypatch.setattr(registry._state, "files", list(registry._state.files))


def write(folder, text):
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_a_wrong_name_is_answered_with_the_near_one():
    with pytest.raises(PluginError, match="did you mean 'concat'") as fault:
        registry.get("heads", "conct")
    assert fault.value.hint == "mer list heads"


def test_an_unknown_kind_names_the_kinds():
    with pytest.raises(ConfigError, match="did you mean 'heads'"):
        registry.specs("head")


def test_a_plugin_file_adds_its_plugins(tmp_path, clean):
    registry.load_file(
        write(
            tmp_path,
            '''
        from mercli.registry import plugin

        @plugin("heads", "mine")
        def mine(dims, scheme, *, width: int = 4):
            """Mine."""
    ''',
        )
    )
    spec = registry.get("heads", "mine")
    assert (spec.summary, list(spec.options())) == ("Mine.", ["width"])
    assert "mine.py" in spec.origin


def test_a_clash_names_both_origins_and_the_builtin_stays(tmp_path, clean):
    held = registry.get("heads", "late")
    with pytest.raises(PluginError, match=r"two heads plugins are called 'late'.*mercli.*mine"):
        registry.load_file(
            write(
                tmp_path,
                '''
            from mercli.registry import plugin

            @plugin("heads", "other")
            def other(dims, scheme):
                """Other."""

            @plugin("heads", "late")
            def late(dims, scheme):
                """Not the real one."""
        ''',
            )
        )
    assert registry.get("heads", "late") is held
    with pytest.raises(PluginError):
        registry.get("heads", "other")


def test_a_file_that_fails_to_load_says_why(tmp_path, clean):
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        registry.load_file(write(tmp_path, "1 / 0"))


def test_a_broken_entry_point_is_listed_and_stops_nobody_else(monkeypatch, clean):
    class Entry:
        name, value, dist = "bad", "nowhere:thing", None

        def load(self):
            raise ImportError("nowhere")

    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [Entry()])
    monkeypatch.setattr(registry._state, "loaded", set())
    assert {"late", "concat"} <= {spec.name for spec in registry.specs("heads")}
    assert registry.broken()[-1].reason == "ImportError: nowhere"


def test_strangers_can_be_turned_off(monkeypatch, clean):
    monkeypatch.setenv("MER_PLUGINS", "none")
    monkeypatch.setattr(registry._state, "loaded", set())
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: 1 / 0)
    assert registry.specs("heads")


def test_every_wrong_option_is_told_at_once():
    spec = registry.get("heads", "late")
    with pytest.raises(ConfigError) as fault:
        registry.check_options(spec, {"hiden": 3, "dropout": "much"})
    assert "did you mean 'hidden'" in fault.value.message
    assert "'dropout' is 'much'" in fault.value.message


def test_options_are_coerced_and_defaults_filled_in():
    checked = registry.check_options(registry.get("heads", "late"), {"hidden": "8"})
    assert checked == {"hidden": 8, "dropout": 0.2}


def test_a_plugin_without_a_docstring_is_refused():
    with pytest.raises(PluginError, match="docstring"):
        registry.plugin("heads", "bare")(lambda dims, scheme: None)


def test_a_plugin_file_may_hold_dataclasses_with_postponed_annotations(tmp_path, clean):
    path = write(
        tmp_path,
        '''
        from __future__ import annotations

        from dataclasses import dataclass
        from mercli.registry import plugin

        @dataclass(frozen=True)
        class Mine:
            jobs: int = 1

        @plugin("engines", "mine")
        def mine(*, jobs: int = 1):
            """Mine."""
            return Mine(jobs)
        ''',
    )
    registry.load_file(path)
    made = registry.build("engines", "mine", options={"jobs": "3"})
    assert made.jobs == 3
    assert pickle.loads(pickle.dumps(made)) == made
    assert registry.loaded_files()[-1] == path
    count = len(registry.loaded_files())
    registry.load_file(path)
    assert len(registry.loaded_files()) == count


def test_a_stranger_that_fails_takes_back_only_what_it_added(monkeypatch, clean):
    before = dict(registry._state.specs)
    held = registry.get("heads", "late")

    def fail():
        def own(dims, scheme):
            """Own."""

        registry.plugin("heads", "own")(own)
        registry.plugin("heads", "late")(own)
        raise SystemExit(3)

    class Entry:
        name, value, dist, load = "bad", "nowhere:thing", None, staticmethod(fail)

    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [Entry()])
    monkeypatch.setattr(registry._state, "loaded", set())
    for kind in registry.KINDS:
        registry.specs(kind)
    assert registry._state.specs == before
    assert registry.get("heads", "late") is held
    assert registry.broken()[-1].reason == "SystemExit: 3"


def test_built_ins_of_every_kind_are_there_before_the_first_stranger():
    script = """
        from mercli import registry
        seen = {}
        class Entry:
            name, value, dist = "bad", "nowhere:thing", None
            def load(self):
                seen.update({kind: len([s for s in registry._state.specs if s[0] == kind]) for kind in registry.KINDS})
                import mercli.fusion.heads.late
                raise ImportError("nowhere")
        registry.importlib.metadata.entry_points = lambda group: [Entry()]
        registry.specs("corpora")
        assert all(seen.get(kind) for kind in registry.KINDS), seen
        registry.get("heads", "late")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
