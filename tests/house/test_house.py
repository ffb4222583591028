"""The house's own rules: floors, sizes, docstrings, light start, presets, docs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mercli"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FLOORS = {
    0: {"errors", "types", "log", "contracts", "network", "__init__", "__main__"},
    1: {
        "registry",
        "config",
        "config_fit",
        "config_compat",
        "config_sets",
        "config_tune",
        "distilling",
        "focal",
        "languages",
        "presets",
        "rundir",
        "labels",
    },
    2: {"corpora", "streams", "features", "engines", "graphs"},
    3: {"fusion", "tuning", "results"},
    4: {"jobs"},
    5: {"cli"},
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names}
HEAVY = (
    "torch", "transformers", "mediapipe", "av", "cv2", "whisper", "sklearn", "matplotlib", "ray", "pandas", "numpy",
    "pydantic", "scipy", "soundfile", "h5py", "openpyxl",
)  # fmt: skip
EXCEPTIONS = {("__main__", "cli")}  # `python -m mercli` is the command line


def _unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    units = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "mercli" else [f"mercli.{a.name}" for a in node.names]
        units |= {name.split(".")[1] for name in names if name.startswith("mercli.")}
    return {unit for unit in units if unit in FLOOR_OF}


def test_every_module_has_a_floor() -> None:
    assert {_unit(path) for path in SOURCES} <= set(FLOOR_OF)
    assert len(SOURCES) > 60


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_and_siblings_do_not_meet(path: Path) -> None:
    own = _unit(path)
    for other in _imports(path) - {own}:
        if (own, other) in EXCEPTIONS:
            continue
        lower = FLOOR_OF[other] < FLOOR_OF[own]
        assert lower or (FLOOR_OF[own] in (0, 1) and FLOOR_OF[other] == FLOOR_OF[own]), f"{own} imports {other}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_sizes_and_docstrings(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 300, "a file over 300 lines holds a second idea"
    assert ast.get_docstring(tree), "a module says what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            limit = 50 if "commands" not in path.parts else 75  # a command's options are its signature
            assert lines <= limit, f"{node.name} has {lines} lines"


def _loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sorted(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in found.stdout.splitlines()}


def test_the_command_line_starts_light() -> None:
    assert not _loaded("import mercli.cli.app") & set(HEAVY)


def test_listing_plugins_starts_light() -> None:
    code = "from mercli import registry\nfor kind in registry.KINDS: assert registry.specs(kind)"
    assert not _loaded(code) & set(HEAVY)


def test_no_module_writes_to_the_terminal_below_the_command_line() -> None:
    for path in SOURCES:
        if _unit(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id == "print"), path
            assert not (isinstance(called, ast.Attribute) and ast.unparse(called) == "sys.exit"), path


def test_every_preset_is_valid_and_none_is_passed_over() -> None:
    from mercli import presets
    from mercli.jobs import checking

    on_disk = sorted(path.relative_to(ROOT / "presets").with_suffix("") for path in (ROOT / "presets").rglob("*.yaml"))
    assert [str(path) for path in on_disk] == presets.names()
    assert len(on_disk) >= 10
    for name in presets.names():
        assert checking.preset(name)["command"] == name.split("/")[0]
        assert (ROOT / "presets" / f"{name}.yaml").read_text().count("# ") >= 3, "a preset begins with its comment"


def test_no_path_of_a_machine_and_no_registry_host_in_committed_files() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False).stdout.split(
        "\n"
    )
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".txt", ".lock", ".json") and path.is_file():
            text = path.read_text()
            for banned in ("/wo" + "rk/", "/ro" + "ot/", "files.python" + "hosted", "py" + "pi.org"):
                assert banned not in text, f"{name} names {banned}"


def test_the_lock_has_one_version_of_each_dependency_and_no_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    for line in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9_.-]+", line)[0]
        found = re.findall(rf"^{re.escape(name)}==(\S+)", lock, re.MULTILINE)
        assert len(found) == 1, f"{name}: {found}; another version for another Python is another program"
    assert "://" not in lock
