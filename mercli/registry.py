"""The one registry of plugins: a name costs nothing until it is used, and a wrong name is answered with the near one.

Kinds: corpora, encoders, heads, engines, transcribers. Built-ins are *modules*; each registers by the decorator, so
there is no second list of names. Strangers come through entry points ``mercli.<kind>`` or ``--plugin file.py``.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

from mercli.errors import ConfigError, MerError, PluginError, extra

KINDS = ("corpora", "encoders", "heads", "engines", "transcribers")

BUILTINS: dict[str, tuple[str, ...]] = {
    "corpora": (
        "mercli.corpora.meld",
        "mercli.corpora.made",
        "mercli.corpora.folder",
        "mercli.corpora.tables",
        "mercli.corpora.iemocap",
        "mercli.corpora.cmu.mosei",
        "mercli.corpora.cmu.mosi",
        "mercli.corpora.msp_improv",
        "mercli.corpora.ravdess",
        "mercli.corpora.cremad",
        "mercli.corpora.emodb",
        "mercli.corpora.afew",
        "mercli.corpora.emorynlp",
        "mercli.corpora.goemotions",
        "mercli.corpora.dailydialog",
        "mercli.corpora.fer2013",
        "mercli.corpora.ckplus",
        "mercli.corpora.scp",
        "mercli.corpora.features_table",
        "mercli.corpora.annotations",
    ),
    "encoders": (
        "mercli.features.audio",
        "mercli.features.face",
        "mercli.features.text",
        "mercli.features.embedded",
        "mercli.features.hf",
        "mercli.features.opensmile_sets",
        "mercli.features.readymade",
        "mercli.features.seeds.avtca",
        "mercli.features.seeds.foalnet",
        "mercli.features.seeds.smil",
        "mercli.features.seeds.text_guided",
    ),
    "heads": (
        "mercli.fusion.heads.late",
        "mercli.fusion.heads.concat",
        "mercli.fusion.heads.gated",
        "mercli.fusion.heads.avtca",
        "mercli.fusion.heads.foalnet",
        "mercli.fusion.heads.text_guided",
        "mercli.fusion.heads.transformer",
        "mercli.fusion.heads.context",
    ),
    "engines": ("mercli.engines.local", "mercli.engines.ray"),
    "transcribers": ("mercli.streams.speech",),
}


@dataclass(frozen=True)
class Spec:
    """A registered plugin: where it comes from, what it is, how to build it."""

    kind: str
    name: str
    build: Callable[..., Any]
    summary: str
    version: str
    extra: str | None
    facts: Mapping[str, Any]
    origin: str

    def options(self) -> dict[str, inspect.Parameter]:
        """Return the builder's keyword-only parameters: the plugin's options."""
        parameters = inspect.signature(self.build).parameters.values()
        options = {p.name: p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        # only the options' annotations are evaluated: those of inputs may name types that load torch
        written = SimpleNamespace(__annotations__={name: p.annotation for name, p in options.items()})
        types = get_type_hints(written, globalns=getattr(self.build, "__globals__", {}))
        return {name: p.replace(annotation=types.get(name, Any)) for name, p in options.items()}


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded, and why; it stops nobody else."""

    kind: str
    origin: str
    reason: str


@dataclass
class _State:
    specs: dict[tuple[str, str], Spec] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)
    pending: list[Spec] | None = None
    origin: str = "mercli"


_state = _State()


def plugin(
    kind: str, name: str, *, version: str = "1", extra: str | None = None, **facts: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a torch-free builder under ``kind`` and ``name``; ``facts`` are what listings show without building.

    The first docstring line is the summary. Raises ``PluginError`` for an unknown kind or a missing docstring.
    """
    if kind not in KINDS:
        raise PluginError(f"unknown plugin kind '{kind}'; kinds are {', '.join(KINDS)}")

    def register(build: Callable[..., Any]) -> Callable[..., Any]:
        doc = inspect.getdoc(build)
        if not doc:
            raise PluginError(f"{kind} plugin '{name}' has no docstring; its first line is the summary users see")
        origin = f"{_state.origin}:{build.__module__}"
        spec = Spec(kind, name, build, doc.splitlines()[0], version, extra, facts, origin)
        if _state.pending is None:
            _admit(spec)
        else:
            _state.pending.append(spec)
        return build

    return register


def _admit(spec: Spec) -> bool:
    """Register a plugin; return whether it is new, raise ``PluginError`` where its name is taken."""
    held = _state.specs.get((spec.kind, spec.name))
    if held is not None and held.build is not spec.build:
        raise PluginError(
            f"two {spec.kind} plugins are called '{spec.name}': {held.origin} and {spec.origin}; the first stays",
            "rename the second, or run with MER_PLUGINS=none",
        )
    _state.specs.setdefault((spec.kind, spec.name), spec)
    return held is None


@contextmanager
def _all_or_nothing(kind: str, origin: str) -> Iterator[None]:
    """Admit every plugin registered inside, or none of them and a ``Broken`` with the reason."""
    outer = _state.origin, _state.pending
    pending: list[Spec] = []
    admitted: list[Spec] = []
    _state.origin, _state.pending = origin, pending
    try:
        yield
        for spec in pending:
            if _admit(spec):
                admitted.append(spec)
    except (Exception, SystemExit) as fault:  # a stranger's import may raise anything; it must stop nobody else
        for spec in admitted:
            del _state.specs[(spec.kind, spec.name)]
        reason = fault.message if isinstance(fault, MerError) else f"{type(fault).__name__}: {fault}"
        _state.broken.append(Broken(kind, origin, reason))
    finally:
        _state.origin, _state.pending = outer


def _load(kind: str) -> None:
    if kind in _state.loaded:
        return
    _state.loaded.add(kind)
    # built-ins of every kind come before any stranger, who may import them: they must never be taken for his own
    for modules in BUILTINS.values():
        for module in modules:
            importlib.import_module(module)
    if os.environ.get("MER_PLUGINS") == "none":
        return
    for entry in sorted(importlib.metadata.entry_points(group=f"mercli.{kind}"), key=lambda e: (e.name, e.value)):
        with _all_or_nothing(kind, f"{entry.dist.name if entry.dist else 'unknown'} ({entry.value})"):
            entry.load()


def load_file(path: Path) -> None:
    """Register the plugins of a Python file (``--plugin``), once; raises ``PluginError`` when it does not load."""
    for kind in KINDS:
        _load(kind)
    if not path.is_file():
        raise PluginError(f"plugin file '{path}' does not exist", "give the path of a Python file after --plugin")
    path = path.resolve()
    if path in _state.files:
        return
    # the number keeps files of one name apart; a worker that loads the same files finds the same module names
    name = re.sub(r"\W", "_", f"mer_plugin_{len(_state.files)}_{path.stem}")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin file '{path}' is not a Python file")
    broken = len(_state.broken)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses and pickle look there
    with _all_or_nothing("--plugin", str(path)):
        spec.loader.exec_module(module)
    if len(_state.broken) > broken:
        del sys.modules[name]
        raise PluginError(f"plugin file '{path}' did not load: {_state.broken.pop().reason}")
    _state.files.append(path)


def loaded_files() -> tuple[Path, ...]:
    """Return the plugin files loaded so far, in order: another process loads them to know the same plugins."""
    return tuple(_state.files)


def specs(kind: str) -> list[Spec]:
    """Return the plugins of a kind by name; raises ``ConfigError`` for an unknown kind."""
    if kind not in KINDS:
        raise ConfigError(f"unknown kind '{kind}'{near(kind, KINDS)}", "mer list --help")
    _load(kind)
    return [spec for key, spec in sorted(_state.specs.items()) if key[0] == kind]


def broken() -> list[Broken]:
    """Return the plugins that could not be loaded so far."""
    return list(_state.broken)


def near(name: str, known: Any) -> str:
    """Return "; did you mean 'x'?" or the known names, to end an error message with."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known[:20]) or 'none'}"


def get(kind: str, name: str) -> Spec:
    """Return one plugin's spec; raises ``PluginError`` with the nearest name where there is none."""
    names = {spec.name: spec for spec in specs(kind)}
    if name not in names:
        singular = {"corpora": "corpus"}.get(kind, kind[:-1])
        raise PluginError(f"no {singular} is called '{name}'{near(name, names)}", f"mer list {kind}")
    return names[name]


def build(kind: str, name: str, *inputs: Any, options: Mapping[str, Any] | None = None) -> Any:
    """Build a plugin from validated options; raises ``MissingExtra`` where its packages are absent."""
    spec = get(kind, name)
    checked = check_options(spec, options or {})
    with extra(spec.extra, f"'{name}'") if spec.extra else nullcontext():
        return spec.build(*inputs, **checked)


def check_options(spec: Spec, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a plugin, defaults filled in, values coerced to their annotated types.

    Raises ``ConfigError`` naming each unknown key or wrong value, with what was expected.
    """
    from pydantic import TypeAdapter, ValidationError

    known = spec.options()
    faults = [f"unknown option '{key}'{near(key, known)}" for key in options if key not in known]
    checked = {}
    for name, parameter in known.items():
        if name not in options:
            if parameter.default is inspect.Parameter.empty:
                faults.append(f"option '{name}' is required")
            checked[name] = parameter.default
            continue
        try:
            checked[name] = TypeAdapter(parameter.annotation).validate_python(options[name])
        except ValidationError as fault:
            faults.append(f"option '{name}' is {options[name]!r}: {fault.errors()[0]['msg'].lower()}")
    if faults:
        raise ConfigError(f"{spec.kind} plugin '{spec.name}': {'; '.join(faults)}", f"mer list {spec.kind} --json")
    return checked
