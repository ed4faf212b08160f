"""`shiftwork demo`: index the documents of a folder on the stack, and show the report."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from shiftwork import definition_files
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import BadDefinitions, NotConfigured, ShiftworkError
from shiftwork.api.shapes import JsonObject, Request
from shiftwork.cli.commands import apply_plan
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render import progress
from shiftwork.cli.render.output import Output
from shiftwork.cli.render.tables import Column, Shape

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_s3 import S3Client

_REQUEST_TYPE = "index-documents"
_SUFFIXES = {".md", ".py"}
#: Folders of third-party or generated files. Hidden folders are skipped too.
_SKIPPED = {"node_modules", "__pycache__", "build", "dist", "site-packages", "target", "venv"}
_MAX_FILES = 300
_MAX_FILE_BYTES = 1024 * 1024
_UPLOADS_AT_ONCE = 16
_COLUMNS = (
    Column("DOCUMENT", shape=Shape.END, least=24),
    Column("WORDS", 6),
    Column("MOST TELLING", 8, Shape.CUT, least=16),
    Column("LINKS", 5),
    Column("LINKED FROM", 7),
)
_MAX_ROWS = 12
_MAX_WORDS = 5
#: The errors of jobs that this machine was too slow for: their own time or their lease ran out.
_SLOW = ("Timeout", "LeaseExpired")


@dataclass(frozen=True)
class Documents:
    """The files to index; `skipped` counts those beyond a limit."""

    files: list[Path]
    skipped: int


def run(client: ShiftworkClient, folder: Path, output: Output) -> None:
    """Apply the definitions, upload the folder's documents, have them indexed, show the report.

    Raises
    ------
    typer.Exit
        If the request did not complete.
    """
    env = client.config.env
    bucket = env.get("SHIFTWORK_BUCKET")
    if not bucket:
        raise NotConfigured("SHIFTWORK_BUCKET is not set: the demo has no bucket for documents.")
    documents = find_documents(folder)
    if not documents.files:
        raise ShiftworkError(
            f"{folder} has no Markdown or Python files.",
            "Name another folder with: shiftwork demo --folder PATH",
        )
    apply_definitions(client, output)
    prefix = f"documents/{datetime.now(UTC):%Y%m%d-%H%M%S}/"
    s3 = s3_client(env)
    _upload(s3, bucket, prefix, folder, documents.files)
    output.message(f"Uploaded {counted(documents)}.")
    submitted = client.submit(_REQUEST_TYPE, {"bucket": bucket, "prefix": prefix})
    request = watch_to_completion(client, submitted["request_id"], output)
    place = request["extras"]["report"]
    report = json.loads(s3.get_object(Bucket=bucket, Key=place["key"])["Body"].read())
    copy = _keep_copy(client, s3, bucket, place["markdown_key"])
    if output.is_json:
        output.json({"request": request, "report": report})
    else:
        _show(output, request, report, copy, _retries(client, request))


def watch_to_completion(client: ShiftworkClient, request_id: str, output: Output) -> Request:
    """Watch a demo's request until it has completed, and return it.

    Raises
    ------
    typer.Exit
        If it did not complete. What to type next is told then.
    """
    request = progress.watch(client, request_id, output)
    if request["status"] != "Completed":
        if output.is_json:
            output.json({"request": request, "report": None})
        output.message(f"Find out why with: shiftwork explain {request['request_id']}")
        raise typer.Exit(Exit.FAILED)
    return request


# -- before --------------------------------------------------------------------------------------


def find_documents(folder: Path) -> Documents:
    """Find the folder's Markdown and Python files; those of subfolders come last."""
    found = list(_walk(folder))
    fitting = [file for file in found if file.stat().st_size <= _MAX_FILE_BYTES]
    return Documents(fitting[:_MAX_FILES], len(found) - len(fitting[:_MAX_FILES]))


def counted(documents: Documents) -> str:
    """Return how many documents are indexed, and of how many."""
    count = len(documents.files)
    if not documents.skipped:
        return f"{count} documents"
    found = count + documents.skipped
    if count == _MAX_FILES:
        return f"the first {count} of {found} documents"
    return f"{count} of {found} documents (too large: {documents.skipped})"


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_skipped(Path(here), name))
        for name in sorted(names):
            file = Path(here, name)
            if file.suffix in _SUFFIXES and file.is_file():
                yield file


def _is_skipped(parent: Path, name: str) -> bool:
    is_environment = (parent / name / "pyvenv.cfg").exists()
    return name.startswith(".") or name in _SKIPPED or name.endswith(".egg-info") or is_environment


def apply_definitions(client: ShiftworkClient, output: Output) -> None:
    """Apply the definitions of the project's folder."""
    definitions = definition_files.read(_definitions_folder())
    changes = apply_plan.plan(client, definitions)
    refused = apply_plan.apply(client, changes)
    if refused:
        others = apply_plan.fate_of_others(changes, refused).capitalize()
        raise BadDefinitions([f for change in refused for f in change.faults], f"{others}.")
    changed = sum(change.action != "unchanged" for change in changes)
    output.message(f"Definitions: {changed} applied, {len(changes) - changed} unchanged.")


def _definitions_folder() -> Path:
    """Return the nearest `definitions/`, in the current folder or above."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "definitions").is_dir():
            return folder / "definitions"
    raise ShiftworkError(
        "There is no definitions/ folder here or above.", "Run the demo inside the project"
    )


def s3_client(env: Mapping[str, str]) -> S3Client:
    """Return a client with the stack's own address and credentials.

    Raises
    ------
    ShiftworkError
        If boto3 is not installed.
    """
    session = aws_session(env)
    from botocore.config import Config

    return session.client(
        "s3",
        endpoint_url=env.get("AWS_ENDPOINT_URL"),
        config=Config(max_pool_connections=_UPLOADS_AT_ONCE),
    )


def aws_session(env: Mapping[str, str]) -> Session:
    """Return a session with the stack's own credentials.

    Raises
    ------
    ShiftworkError
        If boto3 is not installed.
    """
    try:
        import boto3
    except ImportError:
        raise ShiftworkError(
            "The demo needs boto3.", "Install it with: pip install 'shiftwork[local]'"
        ) from None
    return boto3.Session(
        region_name=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION"),
        aws_access_key_id=env.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=env.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=env.get("AWS_SESSION_TOKEN"),
    )


def _upload(s3: S3Client, bucket: str, prefix: str, folder: Path, files: list[Path]) -> None:
    def put(file: Path) -> None:
        key = f"{prefix}files/{file.relative_to(folder).as_posix()}"
        s3.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())

    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        list(pool.map(put, files))


# -- after ---------------------------------------------------------------------------------------


def _keep_copy(client: ShiftworkClient, s3: S3Client, bucket: str, key: str) -> Path | None:
    """Save the readable report beside local.env; a remote stack has no local.env."""
    home = client.config.home
    if home is None:
        return None
    copy = home / "report.md"
    copy.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return copy


def _retries(client: ShiftworkClient, request: Request) -> Counter[str]:
    """Return how many attempts were followed by another, by the type of their error."""
    if not any(step["jobs"]["retry"] for step in request["steps"]):
        return Counter()
    retried = client.jobs(request["request_id"], status="retry")
    return Counter(attempt["error"]["type"] for attempt in retried if attempt["error"])


def _why_tried_again(retries: Counter[str]) -> Iterator[str]:
    """Yield a sentence for each reason for which jobs were tried again."""
    others = Counter(retries)
    if races := others.pop("Retry", 0):
        yield (f"{_times(races)} a job lost the race for a shared S3 object, and was tried again.")
    slow = {name: others.pop(name) for name in _SLOW if name in others}
    if slow:
        yield (
            f"{_times(sum(slow.values()))} a job took too long, or its process was held up, and it "
            f"was tried again ({', '.join(slow)}): this machine is busy."
        )
    for name, count in sorted(others.items()):
        yield f"{_times(count)} a job was tried again after the error {name}."


def _times(count: int) -> str:
    return "Once" if count == 1 else f"{count} times"


def _show(
    output: Output,
    request: Request,
    report: JsonObject,
    copy: Path | None,
    retries: Counter[str],
) -> None:
    place, summary = request["extras"]["report"], report["summary"]
    output.line()
    output.paragraph(
        f"{summary['documents']} documents, {summary['words']:,} words, "
        f"{summary['distinct_words']:,} of them distinct, {summary['links']} links between files"
    )
    for sentence in _why_tried_again(retries):
        output.paragraph(sentence)
    output.line()
    output.table(_COLUMNS, _rows(report), "the report")
    if (more := summary["documents"] - _MAX_ROWS) > 0:
        output.line(f"… and {more} more documents")
    output.line()
    output.fields(
        [
            ("report", f"s3://{place['bucket']}/{place['markdown_key']}"),
            ("as JSON", f"s3://{place['bucket']}/{place['key']}"),
            ("a copy", copy),
        ]
    )
    output.line()
    output.suggestions(
        [
            ("shiftwork show last", "the request, its steps and its result"),
            ("shiftwork jobs last --status retry", "what was tried again, and why"),
            ("shiftwork demo --folder PATH", "the same with your own documents"),
            ("shiftwork apply definitions/", "see what a change would do, and do it"),
            ("shiftwork metrics show", "what GET /metrics says of it, up to 90 s later"),
            ("make dashboard", "draw CloudWatch's dashboard of this stack"),
            ("shiftwork down", "stop the stack"),
        ]
    )


def _rows(report: JsonObject) -> list[tuple[Any, ...]]:
    """Return a row for each of the best-linked documents."""
    files = sorted(
        report["files"].items(), key=lambda f: (-len(f[1]["linked_from"]), -f[1]["words"], f[0])
    )
    return [
        (
            name,
            file["words"],
            " ".join(word for word, _ in file["telling"][:_MAX_WORDS]),
            len(file["links_to"]),
            len(file["linked_from"]),
        )
        for name, file in files[:_MAX_ROWS]
    ]
