"""Index documents in S3: the callbacks of the demo.

    {prefix}files/...               the documents, Markdown and Python
    {prefix}index/documents/N.json  what was found in one document
    {prefix}index/words-K.json      in how many documents each word occurs, in eight parts
    {prefix}report.json, report.md  the result

Jobs share the parts: each counts its document in one of them, by optimistic locking. A job that
loses the race asks for a retry. A document is counted once, however often its job runs.
"""

from __future__ import annotations

import ast
import json
import keyword
import math
import posixpath
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any
from zlib import crc32

from botocore.config import Config
from botocore.exceptions import ClientError

from shiftwork_core.callbacks import Failure, Job, Retry, callback

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SUFFIXES = (".md", ".py")
PARTS = 8
#: How many terms of a document are kept, and how many the report shows.
MAX_TERMS = 40
MAX_TELLING = 10
_READS_AT_ONCE = 16
#: Races for a part that a job may lose before it asks for a retry, which costs an invocation.
_RACES = 2
#: S3's answers to a conditional write that lost: the object has changed, another conditional write
#: is under way, or (with If-Match) the object is gone.
_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}

_WORD = re.compile(r"[^\W\d_]{3,}")
_URL = re.compile(r"https?://[^\s)>\"']+")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)|^\s*\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HEADING = re.compile(r"^#\s+(.+?)\s*#*$", re.MULTILINE)

#: Words of every English text, and of every Python file.
_ENGLISH = """
    about above after again all also and any are because been before being below between both but
    can cannot could did does doing down during each either else ever every few for from further
    had has have having her here hers him his how however into its itself just least less like may
    might more most much must neither never nor not now off once one only onto other others our out
    over own per rather same shall she should since some such than that the their them then there
    these they this those though through thus too two under until upon use used uses using very was
    were what when where whether which while who whom whose why will with within without would yet
    you your yours
"""
_PYTHON = """
    args bool bytes cls dict false float init int kwargs list none object property return returns
    self set staticmethod str super true tuple type typing
"""
STOP_WORDS = {*_ENGLISH.split(), *_PYTHON.split(), *(word.lower() for word in keyword.kwlist)}

_client_lock = Lock()
#: Jobs of one process take turns: only jobs of different processes race.
_entry_lock = Lock()
#: The parser of some Python versions fails if threads use it at once (CPython issue 106905).
_parser_lock = Lock()


@cache
def _client() -> S3Client:
    # Imported when a job needs it, so that RunJobs starts sooner for the jobs of other callbacks.
    import boto3

    # More connections than a batch has jobs.
    return boto3.session.Session().client("s3", config=Config(max_pool_connections=64))


def _s3() -> S3Client:
    """Return the process's client. Jobs of a batch run in threads: one of them builds it."""
    with _client_lock:
        return _client()


# -- the callbacks -------------------------------------------------------------------------------


@callback("documents.list")
def list_documents(job: Job) -> dict[str, Any]:
    """Return the documents as `{name, key}`, by name."""
    bucket, prefix = _place(job)
    root = f"{prefix}files/"
    pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=root)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    documents = [
        {"name": key.removeprefix(root), "key": key} for key in keys if key.endswith(SUFFIXES)
    ]
    if not documents:
        raise Failure(f"there are no documents under s3://{bucket}/{root}")
    job.logger.info("found %d documents", len(documents))
    return {"documents": documents}


@callback("documents.analyse")
def analyse(job: Job) -> dict[str, Any]:
    """Analyse one document; return a summary under its name."""
    bucket, prefix = _place(job)
    name, key = job.item["name"], job.item["key"]
    try:
        content = _s3().get_object(Bucket=bucket, Key=key)["Body"].read()
    except _s3().exceptions.NoSuchKey:
        raise Failure(f"s3://{bucket}/{key} is gone") from None
    found = analysis_of(name, content.decode(errors="replace"))
    words = found.pop("distinct_words")
    _put_json(bucket, f"{prefix}index/documents/{name}.json", found)
    part = crc32(name.encode()) % PARTS
    with _entry_lock:
        _enter(bucket, f"{prefix}index/words-{part}.json", name, words)
    job.logger.info("%s: %d words", name, found["words"])
    return {name: {"title": found["title"], "words": found["words"], "part": part}}


@callback("documents.report")
def report(job: Job) -> dict[str, Any]:
    """Write the report; return its place in S3, and its summary."""
    bucket, prefix = _place(job)
    names = [document["name"] for document in job.extras["documents"]]
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        keys = [f"{prefix}index/documents/{name}.json" for name in names]
        analyses = pool.map(lambda key: _get_json(bucket, key), keys)
        found = dict(zip(names, analyses, strict=True))
        keys = [f"{prefix}index/words-{part}.json" for part in range(PARTS)]
        parts = [part for part, _ in pool.map(lambda key: _read_part(bucket, key), keys)]
    frequencies: Counter[str] = Counter()
    for part in parts:
        frequencies.update(part["frequencies"])
    result = report_of(found, frequencies)
    key, markdown_key = f"{prefix}report.json", f"{prefix}report.md"
    _put_json(bucket, key, result)
    _s3().put_object(
        Bucket=bucket,
        Key=markdown_key,
        Body=as_markdown(result).encode(),
        ContentType="text/markdown; charset=utf-8",
    )
    place = {"bucket": bucket, "key": key, "markdown_key": markdown_key}
    return {"report": place | {"summary": result["summary"]}}


def _place(job: Job) -> tuple[str, str]:
    return job.params["bucket"], job.params["prefix"]


# -- S3 ------------------------------------------------------------------------------------------


def _get_json(bucket: str, key: str) -> Any:
    return json.loads(_s3().get_object(Bucket=bucket, Key=key)["Body"].read())


def _put_json(bucket: str, key: str, value: Any) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    _s3().put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def _read_part(bucket: str, key: str) -> tuple[dict[str, Any], str | None]:
    """Return a shared part and its ETag; an empty part and None if nobody has written it yet."""
    try:
        answer = _s3().get_object(Bucket=bucket, Key=key)
    except _s3().exceptions.NoSuchKey:
        return {"documents": [], "frequencies": {}}, None
    return json.loads(answer["Body"].read()), answer["ETag"]


def _enter(bucket: str, key: str, name: str, words: Iterable[str]) -> None:
    """Count the document's words in the shared part, unless it has been counted before.

    Raises
    ------
    Retry
        If others changed the part between each of our reads and writes.
    """
    for _ in range(_RACES):
        part, etag = _read_part(bucket, key)
        if name in part["documents"]:
            return
        part["documents"].append(name)
        for word in words:
            part["frequencies"][word] = part["frequencies"].get(word, 0) + 1
        if _replace_part(bucket, key, part, etag):
            return
    raise Retry(f"lost the race for {posixpath.basename(key)}")


def _replace_part(bucket: str, key: str, part: dict[str, Any], etag: str | None) -> bool:
    """Write the part if it is still as it was read; return whether it was."""
    body = json.dumps(part, ensure_ascii=False).encode()
    try:
        if etag is None:
            _s3().put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
        else:
            _s3().put_object(Bucket=bucket, Key=key, Body=body, IfMatch=etag)
    except ClientError as error:
        if error.response["Error"]["Code"] in _LOST:
            return False
        raise
    return True


# -- one document --------------------------------------------------------------------------------


def analysis_of(name: str, text: str) -> dict[str, Any]:
    """Return what the index says about one document.

    `links` are names of files as the document writes them, resolved against its own folder;
    `imports` are dotted names, with leading dots where they are relative.
    """
    prose = _URL.sub(" ", text.lower())
    words = [word for word in _WORD.findall(prose) if word not in STOP_WORDS]
    counts = Counter(words)
    is_python = name.endswith(".py")
    title, imports = _read_python(text) if is_python else (_heading(text), [])
    return {
        "title": title or name,
        "words": len(words),
        "terms": dict(counts.most_common(MAX_TERMS)),
        "distinct_words": sorted(counts),
        "links": [] if is_python else _markdown_links(name, text),
        "imports": imports,
    }


def _heading(text: str) -> str | None:
    match = _HEADING.search(_FENCE.sub("", text))
    return match[1] if match else None


def _markdown_links(name: str, text: str) -> list[str]:
    """Return the files that a Markdown text links to, whether or not they exist."""
    prose = _INLINE_CODE.sub("", _FENCE.sub("", text))
    targets = (inline or reference for inline, reference in _LINK.findall(prose))
    paths = (target.partition("#")[0] for target in targets if not _SCHEME.match(target))
    folder = posixpath.dirname(name)
    return sorted(
        {
            posixpath.normpath(path.lstrip("/") if path[0] == "/" else f"{folder or '.'}/{path}")
            for path in paths
            if path.strip("/")
        }
    )


def _read_python(text: str) -> tuple[str | None, list[str]]:
    """Return the first line of a module's docstring, and what it imports."""
    try:
        with _parser_lock:
            tree = ast.parse(text)
    except (SyntaxError, ValueError):  # ValueError: a null byte.
        return None, []
    docstring = ast.get_docstring(tree)
    return docstring and docstring.splitlines()[0], sorted(set(_imports(tree)))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            join = "" if start.endswith(".") else "."
            yield from (f"{start}{join}{alias.name}" for alias in node.names)


# -- all documents -------------------------------------------------------------------------------


def report_of(found: dict[str, Any], frequencies: dict[str, int]) -> dict[str, Any]:
    """Return the report: each document's most telling words by TF-IDF, and its links."""
    modules = _modules(found)
    links = {name: _targets(name, one, found, modules) for name, one in found.items()}
    linked_from: dict[str, list[str]] = {name: [] for name in found}
    for name, targets in links.items():
        for target in targets:
            linked_from[target].append(name)
    files = {
        name: {
            "title": one["title"],
            "words": one["words"],
            "telling": _telling(one, len(found), frequencies),
            "links_to": links[name],
            "linked_from": linked_from[name],
        }
        for name, one in found.items()
    }
    most_linked = sorted(found, key=lambda name: (-len(linked_from[name]), name))[:3]
    summary = {
        "documents": len(found),
        "words": sum(one["words"] for one in found.values()),
        "distinct_words": len(frequencies),
        "links": sum(map(len, links.values())),
        "most_linked": [[name, len(linked_from[name])] for name in most_linked],
    }
    return {"summary": summary, "files": files}


def _telling(one: dict[str, Any], total: int, frequencies: dict[str, int]) -> list[list[Any]]:
    """Return `[word, weight]`, heaviest first: frequent here, rare elsewhere."""
    weights = {
        word: count / one["words"] * math.log((1 + total) / (1 + frequencies.get(word, 0)))
        for word, count in one["terms"].items()
    }
    best = sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_TELLING]
    return [[word, round(weight, 4)] for word, weight in best]


def _targets(
    name: str, one: dict[str, Any], found: dict[str, Any], modules: dict[str, list[str]]
) -> list[str]:
    """Return the documents that one links to or imports."""
    imported = (_imported_file(name, dotted, modules) for dotted in one["imports"])
    targets = {target for target in (*one["links"], *imported) if target in found}
    return sorted(targets - {name})


def _modules(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the Python files by the name under which each is imported.

    A package is a folder with an __init__.py; the folder above the outermost is where imports
    start. A file outside any package is imported by its own name, which several files may share.
    """
    files = {name for name in names if name.endswith(".py")}
    modules: dict[str, list[str]] = {}
    for file in sorted(files):
        folder, base = posixpath.split(file)
        parts = [] if base == "__init__.py" else [base.removesuffix(".py")]
        while f"{folder}/__init__.py" in files:
            folder, package = posixpath.split(folder)
            parts.insert(0, package)
        if parts:
            modules.setdefault(".".join(parts), []).append(file)
    return modules


def _imported_file(name: str, dotted: str, modules: dict[str, list[str]]) -> str | None:
    """Return the file that an import reads: the module itself, or the one that defines the name."""
    dotted = _absolute(name, dotted, modules)
    for candidate in (dotted, dotted.rpartition(".")[0]):
        files = modules.get(candidate, [])
        beside = [f for f in files if posixpath.dirname(f) == posixpath.dirname(name)]
        if beside:
            return beside[0]
        if len(files) == 1 and candidate not in sys.stdlib_module_names:
            return files[0]
    return None


def _absolute(name: str, dotted: str, modules: dict[str, list[str]]) -> str:
    """Return a relative import of `name` as an absolute one."""
    path = dotted.lstrip(".")
    level = len(dotted) - len(path)
    if not level:
        return dotted
    own = next((module for module, files in modules.items() if name in files), "")
    package = own.split(".") if name.endswith("/__init__.py") else own.split(".")[:-1]
    return ".".join([*package[: len(package) - level + 1], path])


def as_markdown(result: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    summary = result["summary"]
    lines = [
        "# The documents, indexed",
        "",
        f"{summary['documents']} documents, {summary['words']:,} words, "
        f"{summary['distinct_words']:,} of them distinct, {summary['links']} links.",
        "",
        "Most linked: "
        + ", ".join(f"{name} ({count})" for name, count in summary["most_linked"] if count)
        + ".",
    ]
    for name, file in sorted(result["files"].items()):
        lines += ["", f"## {name}", "", f"{file['title']}. {file['words']:,} words.", ""]
        lines.append("- Telling: " + ", ".join(word for word, _ in file["telling"]))
        for title, others in (("Links to", "links_to"), ("Linked from", "linked_from")):
            if file[others]:
                lines.append(f"- {title}: " + ", ".join(file[others]))
    return "\n".join(lines) + "\n"
