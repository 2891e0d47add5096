"""Options and arguments that several commands share, and when the command was typed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

BEGAN = time.monotonic()

Storage = Annotated[
    str, typer.Option("--storage", metavar="URL", help="Database: sqlite:///PATH or postgresql+psycopg://...")
]
Address = Annotated[
    str | None,
    typer.Option("--address", help="Ray cluster to join: auto, HOST:PORT or ray://HOST:PORT. Default: start one."),
]
Local = Annotated[bool, typer.Option("--local", help="Train in this process without Ray, for a debugger.")]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        "--checkpoints",
        metavar="FOLDER",
        help="Where checkpoints go: a folder that all nodes see, or s3://... Default: beside the database.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Space = Annotated[str, typer.Argument(metavar="SPACE", help="A shipped space (finetune, ...) or a YAML file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Fix a recipe field; a searched one is searched no more."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a sweep or an ablation.")]
Folder = Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Default: reports/NAME.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for another driver of it to end, in place of an error.")]
