"""``mer bundle show | verify | pack | import | export``: trained models as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Json, Plugin, Quiet, Set, Verbose, out, say
from mercli.errors import DataError

if TYPE_CHECKING:
    from mercli.jobs.export import Part

Bundle = Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, a .mer file, or 'embedded'.")]


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(
        help="Look at bundles, check them, pack them into one file, import others, export.", no_args_is_help=True
    )
    group.command("show", cls=Command)(show)
    group.command("verify", cls=Command)(verify)
    group.command("pack", cls=Command)(pack)
    group.command("import", cls=Command)(import_)
    group.command("export", cls=Command)(export)
    app.add_typer(group, name="bundle")


def show(bundle: Bundle, json: Json = False, quiet: Quiet = False, verbose: Verbose = 0) -> None:
    """Print what a bundle says of itself: classes, head, recipe, priors, what it has seen, files and checksums.

    Example: mer bundle show embedded
    """
    from mercli.jobs import bundling

    found = bundling.show(bundle)
    if json:
        show_json(found)
        return
    show_table(["what", "value"], list(_rows(found)))
    files = [[name, f["bytes"], f["sha256"], "" if f["whole"] else "CHANGED"] for name, f in found["files"].items()]
    show_table(["file", "bytes", "sha256", ""], files)


def _rows(found: dict[str, Any]) -> list[list[str]]:
    from mercli.fusion import provenance

    scheme, recipe = found["scheme"], found["recipe"]
    rows = [
        ["name", found["name"]],
        ["classes", f"{', '.join(scheme['names'])} ({scheme['name']}, {found['policy']})"],
        ["head", f"{found['head']['name']} {_pairs(found['head']['options'])}"],
        ["temperature", ", ".join(f"{one:.4g}" for one in found["temperatures"] or [found["temperature"]])],
    ]
    for modality, dim in found["dims"].items():
        choice = recipe["encoders"].get(modality) or {"name": "none", "options": {}}
        told = f"{choice['name']} {_pairs(choice.get('options') or {})}".strip()
        rows.append([modality, f"{told}, {dim} numbers, features {found['keys'].get(modality)}"])
    if found["graphs"]:
        rows.append(["ONNX graphs", _pairs(found["graphs"])])
    rows.append(["recipe", _pairs({key: value for key, value in recipe.items() if key != "encoders"})])
    rows += [[f"prior {name}", ", ".join(f"{p:.3f}" for p in values)] for name, values in found["priors"].items()]
    rows.append(["trained on", provenance.named(found["trained_on"])])
    for m, uses in found["encoders_trained_on"].items():
        rows.append([f"{m} encoder trained on", provenance.named(uses) or "nothing that it tells"])
    rows += [[name, str(value)] for name, value in found["facts"].items()]
    return [*rows, ["bytes", str(found["bytes"])]]


def _pairs(options: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items())


def verify(
    bundle: Bundle, json: Json = False, quiet: Quiet = False, verbose: Verbose = 0, plugin: Plugin = None
) -> None:
    """Check files, weights, head, and whether its encoders can be built here; exit code 4 where something is wrong.

    Example: mer bundle verify runs/NAME/bundle
    """
    from mercli.jobs import bundling

    found = bundling.verify(bundle)
    if json:
        show_json(found)
    for fault in found.faults:
        say(f"fault: {fault}")
    for modality, encoder in found.encoders.items():
        if encoder["usable"]:
            say(f"{modality}: {encoder['name']} makes features {encoder['key']} here")
        else:
            say(f"{modality}: {encoder['why']}" + (f"\n  try: {encoder['hint']}" if encoder["hint"] else ""))
    if found.faults:
        raise DataError(f"bundle '{bundle}' has {len(found.faults)} faults, the first: {found.faults[0]}")
    if found.obstacles:
        raise DataError(f"bundle '{bundle}' is whole, and cannot be used here: {found.obstacles[0]}")
    say(f"{found.name}: whole, and usable here")


def pack(
    bundle: Bundle,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE.mer", help="Where to; NAME.mer here by default.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Pack a bundle into one file, which `mer predict --model` takes as it is; the same bytes every time.

    Example: mer bundle pack runs/NAME/bundle -o mine.mer
    """
    from mercli.jobs import bundling

    out(str(bundling.pack(bundle, Path(output) if output else None)))


def import_(
    checkpoint: Annotated[str, typer.Argument(metavar="FILE", help="The checkpoint: .pt, .pth or .safetensors.")],
    from_: Annotated[str, typer.Option("--from", metavar="smil|avtca|foalnet", help="Which system saved it.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="The new bundle's folder.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="PRESET", help="Preset of mer extract (that of the system).")
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--classes", metavar="NAME ...", help="Its outputs in their order (the system's)."),
    ] = None,
    trained_on: Annotated[
        list[str] | None,
        typer.Option("--trained-on", metavar="CORPUS:SPLIT", help="What it has seen; repeatable (unknown)."),
    ] = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Make a bundle of a published system's fusion checkpoint; its encoders' weights are given by --set.

    --classes tells its outputs in their order, where they are not the system's usual ones.

    Example: mer bundle import --from smil best.pth -o mine --set recipe.encoders.face.options.weights=FILE
    """
    from mercli.jobs import importing

    made = importing.import_(
        from_,
        Path(checkpoint),
        Path(output),
        preset=recipe,
        sets=set_ or (),
        classes=classes or (),
        trained_on=trained_on or (),
    )
    if json:
        show_json(made)
        return
    for modality, place in made.encoders.items():
        say(f"{modality}: the checkpoint's own encoder, '{place}'")
    say(f"{made.name}: {', '.join(made.classes)}")
    out(str(made.bundle))


def export(
    bundle: Bundle,
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="The new bundle's folder.")],
    format_: Annotated[str, typer.Option("--format", metavar="onnx", help="Of the networks' files (onnx).")] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="Encoders in 8 bits: smaller, faster, nearly the same.")] = False,
    clips: Annotated[
        list[str] | None,
        typer.Option("--clips", metavar="FILE...", help="Also compare, and measure ranges for 8 bits, on these."),
    ] = None,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Write it although a graph's features are not its network's.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Write a bundle's networks as ONNX graphs, and tell how near they come and how fast they are.

    The result is a bundle, which `mer predict --model` takes as it is; what prepares the networks' input stays.

    Example: mer bundle export embedded -o small --format onnx --int8
    """
    from mercli.jobs import export as exporting

    if format_ != "onnx":
        raise typer.BadParameter(f"'{format_}' is unknown, expected onnx", param_hint="--format")
    made = exporting.export(bundle, Path(output), shrink=int8, clips=clips or (), allow_drift=allow_drift)
    if json:
        show_json(made)
        return
    columns = ["part", "network", "in", "MB", "cosine", "difference", "speed"]
    show_table(columns, [[name, *_part(part)] for name, part in made.parts.items()], right=(3, 4, 5, 6))
    for name, part in made.parts.items():
        if part.why:
            say(f"{name}: stays in torch: {part.why}")
    say(f"the same label on {made.same} of {made.windows} windows")
    say(f"{made.name}: written to '{made.bundle}'")


def _part(part: Part) -> list[str]:
    if part.cosine is None or part.difference is None:
        return [part.name, part.precision, "", "", "", ""]
    speed = "" if part.faster is None else f"{part.faster:.1f}x"
    return [
        part.name, part.precision, f"{part.bytes / 1e6:.2f}", f"{part.cosine:.5f}", f"{part.difference:.1e}", speed
    ]  # fmt: skip
