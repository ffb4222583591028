"""``mer extract``: segments become features."""

from __future__ import annotations

from typing import Annotated

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import (
    Command,
    Corpora,
    Data,
    Device,
    Engine,
    Jobs,
    Json,
    Modalities,
    Offline,
    Plugin,
    Preset,
    Quiet,
    Set,
    Tuned,
    Verbose,
    number,
    say,
)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("extract", cls=Command)(extract)


def extract(
    corpora: Corpora = None,
    preset: Preset = None,
    encoder: Tuned = None,
    modalities: Modalities = None,
    engine: Engine = None,
    jobs: Jobs = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="i/n", help="Every n-th clip from the i-th: one of n machines.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="auto|fp32|bf16|fp16", help="Of large networks (fp32).")
    ] = None,
    batch: Annotated[str | None, typer.Option("--batch", metavar="auto|N", help="Pieces a batch (auto).")] = None,
    strict: Annotated[bool | None, typer.Option("--strict", help="Stop at the first clip that fails.")] = None,
    max_fail: Annotated[
        str | None, typer.Option("--max-fail", metavar="SHARE", help="Fail when more clips than this fail, e.g. 5%.")
    ] = None,
    device: Device = None,
    offline: Offline = False,
    set_: Set = None,
    data: Data = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Encode the segments of prepared corpora into the feature store; what is there already is kept.

    Example: mer extract --corpora meld iemocap --preset weightless
    """
    from mercli import config as configs
    from mercli.jobs import extract as job
    from mercli.jobs.features import tuned

    flags = {
        **tuned.flags(encoder),
        "corpora": corpora,
        "modalities": modalities,
        "engine.name": engine,
        "engine.options.jobs": number(jobs),
        "shard": shard,
        "recipe.precision": precision,
        "batch": number(batch),
        "strict": strict,
        "max_fail": configs.share(max_fail) if max_fail else None,
        "device": device,
        "data": data,
    }
    config = configs.resolve(configs.ExtractConfig, flags, preset=preset, sets=set_ or ())
    coverages = job.extract(config)
    if json:
        show_json(coverages)
        job.judge(coverages, config)
        return
    columns = ["corpus", "segments", "encoded now", *config.modalities]
    show_table(
        columns,
        [[c.corpus, c.segments, c.encoded, *(c.present.get(m, 0) for m in config.modalities)] for c in coverages],
    )
    for coverage in coverages:
        for modality, reasons in coverage.missing.items():
            for reason, count in reasons.items():
                say(f"{coverage.corpus}: {count} segments without {modality}: {reason}")
    job.judge(coverages, config)
