"""How options are spelled: lists up to the next option, shared flags, and errors turned into exit codes."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mercli import log, network
from mercli.errors import DISK_FULL, DataError, MerError

LISTS = ("--corpora", "--modalities", "--classes", "--heads", "--encoders", "--exclude", "--clips")
PATHS = ("--clips", "--encoders")
"""Those whose values may be paths, in which a comma is one."""
WRITING = (*DISK_FULL, errno.EROFS)
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143


def expand(args: list[str]) -> list[str]:
    """Spell ``--corpora a b,c`` as ``--corpora a --corpora b --corpora c``, and ``--prior corpus X`` as one value."""
    spelled: list[str] = []
    option = None
    for index, arg in enumerate(args):
        if arg == "--":
            return [*spelled, *args[index:]]
        name, equals, value = arg.partition("=")
        if name in LISTS:
            option = name
            for part in _parts(option, value) if equals else ():
                spelled += [option, part]
        elif arg.startswith("-"):
            option = None
            spelled.append(arg)
        elif option is not None:
            for part in _parts(option, arg):
                spelled += [option, part]
        elif spelled[-2:] == ["--prior", "corpus"]:
            spelled[-1] = f"corpus:{arg}"
        else:
            spelled.append(arg)
    return spelled


def _parts(option: str, value: str) -> list[str]:
    return [value] if option in PATHS else [part for part in value.split(",") if part]


class Command(TyperCommand):
    """A command whose lists run up to the next option and whose errors become the documented exit codes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Expand list options before they are parsed."""
        return super().parse_args(ctx, expand(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; say an error on stderr and leave with its exit code."""
        try:
            _start(ctx.params)
            return super().invoke(ctx)
        except MerError as fault:
            complain(f"mer: {fault.message}")
            if fault.hint:
                complain(f"  try: {fault.hint}")
            raise typer.Exit(fault.exit_code) from None
        except _Terminated:
            complain("mer: terminated")
            raise typer.Exit(TERMINATED) from None
        except KeyboardInterrupt:
            complain("mer: interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # the reader has gone (`mer ... | head`): nobody is left to tell, and the flush at exit must not complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as fault:
            log.logger.debug("where it happened:", exc_info=True)
            complain(f"mer: {_reason(fault)}")
            if fault.errno in DISK_FULL:
                complain(f"  try: df -h '{Path(os.fsdecode(fault.filename or '.')).parent}'")
            raise typer.Exit(DataError.exit_code) from None


class _Terminated(KeyboardInterrupt):
    """The system asks to end (SIGTERM, as at a time limit): what is finished is kept, as after Ctrl-C."""


def _terminate(*_: object) -> None:
    raise _Terminated


def _reason(fault: OSError) -> str:
    """Return what the system refused: ``cannot write 'path': No space left on device``."""
    what = "cannot write" if fault.errno in WRITING else "cannot read or write"
    where = f" '{os.fsdecode(fault.filename)}'" if isinstance(fault.filename, (str, bytes)) else ""
    return f"{what}{where}: {fault.strerror or fault}"


def _start(params: dict[str, Any]) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files that are no UTF-8 leave with the bytes they came with
        sys.stdout.reconfigure(errors="surrogateescape")
    signal.signal(signal.SIGTERM, _terminate)
    log.setup(bool(params.get("quiet")), int(params.get("verbose") or 0))
    if params.get("offline"):
        network.forbid()
    for path in params.get("plugin") or ():
        from mercli import registry

        registry.load_file(Path(path))
    if params.get("verbose"):
        _warn_broken()


def _warn_broken() -> None:
    from mercli import registry

    for kind in registry.KINDS:
        registry.specs(kind)
    for fault in registry.broken():
        log.logger.warning("plugin %s is broken: %s", fault.origin, fault.reason)


def number(text: str | None) -> int | str | None:
    """Return the number that a text is, else the text: for options that take a number or a word."""
    return int(text) if text and text.isdecimal() else text


def say(text: str) -> None:
    """Write a line of talk to stderr, unless ``-q`` asked for none."""
    if not log.is_quiet():
        complain(text)


def complain(text: str) -> None:
    """Write a line to stderr that nobody asked not to hear: what went wrong."""
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")


def out(text: str) -> None:
    """Write a line of result to stdout."""
    sys.stdout.write(text + "\n")


Classes = Annotated[
    list[str] | None,
    typer.Option("--classes", metavar="NAME ...", help="Only these classes, or a set of them: 4, 6 or 7 (all)."),
]
Scheme = Annotated[
    str | None,
    typer.Option("--scheme", metavar="NAME", help="Learn these labels: mosei-6, sentiment, vad ... (the classes)."),
]
AllowLeak = Annotated[
    bool | None, typer.Option("--allow-leak", help="Train although parts that should be apart share data.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Warnings only.")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more.")]
Plugin = Annotated[list[str] | None, typer.Option("--plugin", metavar="FILE.py", help="Also load this plugin file.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the configuration; repeatable.")
]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="Start from a preset (`mer list presets`).")
]
Data = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Where manifests and features lie (data).")]
Runs = Annotated[str | None, typer.Option("--runs", metavar="DIR", help="Where runs are written (runs).")]
Corpora = Annotated[
    list[str] | None, typer.Option("--corpora", metavar="NAME...", help="Prepared corpora, up to the next option.")
]
Modalities = Annotated[
    list[str] | None, typer.Option("--modalities", metavar="NAME...", help="Of audio, face, text; all by default.")
]
Engine = Annotated[
    str | None, typer.Option("--engine", metavar="local|ray", help="What spreads the work (local); `mer list engines`.")
]
Jobs = Annotated[
    str | None,
    typer.Option("--jobs", metavar="N|auto", help="Workers (local: 1, ray: auto); auto: one per GPU, else per core."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Ask no network for weights; HF_HUB_OFFLINE=1 says the same.")]
Tuned = Annotated[
    list[str] | None,
    typer.Option("--encoder", metavar="DIR", help="A tuned encoder in place of the recipe's; repeatable."),
]
Distilled = Annotated[
    str | None,
    typer.Option("--distill", metavar="TEACHER", help="Learn a bundle's or tuned encoder's soft labels, too."),
]
Device = Annotated[str | None, typer.Option("--device", metavar="auto|cpu|cuda[:i]", help="Where networks run (auto).")]
