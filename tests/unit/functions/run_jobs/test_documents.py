"""Documents are indexed, and shared counts stay right under races."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from shiftwork_core.callbacks import CALLBACKS, Failure, Retry
from tests.unit.functions.run_jobs.conftest import BUCKET, PREFIX, item, job

Upload = Callable[[dict[str, str]], None]


def test_the_folder_registers_its_callbacks(documents: ModuleType) -> None:
    assert {"documents.list", "documents.analyse", "documents.report"} <= set(CALLBACKS)


# -- list ----------------------------------------------------------------------------------------


def test_listing_finds_markdown_and_python_and_nothing_else(
    documents: ModuleType, bucket: Any, upload: Upload
) -> None:
    upload({"b.py": "", "a/c.md": "", "picture.png": ""})
    bucket.put_object(Key=f"{PREFIX}report.md", Body=b"of an earlier run")
    assert documents.list_documents(job()) == {"documents": [item("a/c.md"), item("b.py")]}


def test_no_documents_are_a_failure(documents: ModuleType, bucket: Any) -> None:
    with pytest.raises(Failure, match="there are no documents under s3://"):
        documents.list_documents(job())


# -- analyse -------------------------------------------------------------------------------------


def analysis(bucket: Any, name: str) -> dict[str, Any]:
    key = f"{PREFIX}index/documents/{name}.json"
    found: dict[str, Any] = json.loads(bucket.Object(key).get()["Body"].read())
    return found


def frequencies(bucket: Any) -> dict[str, int]:
    """Return the shared counts, all parts together."""
    total: dict[str, int] = {}
    for entry in bucket.objects.filter(Prefix=f"{PREFIX}index/words-"):
        part = json.loads(entry.get()["Body"].read())
        for word, count in part["frequencies"].items():
            total[word] = total.get(word, 0) + count
    return total


def test_a_document_is_analysed_and_counted(
    documents: ModuleType, bucket: Any, upload: Upload
) -> None:
    upload({"a.md": "# The *queue*\n\nQueues queue, and https://x.test queue_length is 3.\n"})
    result = documents.analyse(job(item("a.md")))
    assert result == {"a.md": {"title": "The *queue*", "words": 5, "part": result["a.md"]["part"]}}
    assert analysis(bucket, "a.md")["terms"] == {"queue": 3, "queues": 1, "length": 1}
    assert frequencies(bucket) == {"queue": 1, "queues": 1, "length": 1}


def test_running_a_job_twice_counts_its_document_once(
    documents: ModuleType, bucket: Any, upload: Upload
) -> None:
    upload({"a.md": "queue"})
    documents.analyse(job(item("a.md")))
    documents.analyse(job(item("a.md")))
    assert frequencies(bucket) == {"queue": 1}


@pytest.fixture
def overtake(documents: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Return a function that counts one of these documents between each read and write."""

    def arrange(others: list[str]) -> None:
        read = documents._read_part

        def read_and_be_overtaken(*place: str) -> Any:
            part, etag = read(*place)
            if others:
                changed = {
                    "documents": [*part["documents"], others.pop()],
                    "frequencies": part["frequencies"] | {"queue": len(part["documents"]) + 1},
                }
                assert documents._replace_part(*place, changed, etag)
            return part, etag

        monkeypatch.setattr(documents, "PARTS", 1)
        monkeypatch.setattr(documents, "_read_part", read_and_be_overtaken)

    return arrange


def test_a_job_that_loses_one_race_for_a_part_writes_again_at_once(
    documents: ModuleType, bucket: Any, upload: Upload, overtake: Callable[[list[str]], None]
) -> None:
    upload({"a.md": "queue"})
    overtake(["b.md"])
    documents.analyse(job(item("a.md")))
    assert frequencies(bucket) == {"queue": 2}


def test_a_job_that_loses_again_asks_for_a_retry_and_no_count_is_lost(
    documents: ModuleType, bucket: Any, upload: Upload, overtake: Callable[[list[str]], None]
) -> None:
    upload({"a.md": "queue"})
    overtake(["b.md", "c.md"])
    with pytest.raises(Retry, match=r"lost the race for words-0\.json"):
        documents.analyse(job(item("a.md")))
    documents.analyse(job(item("a.md")))
    assert frequencies(bucket) == {"queue": 3}


def test_a_document_that_is_gone_is_a_failure(documents: ModuleType, bucket: Any) -> None:
    with pytest.raises(Failure, match="is gone"):
        documents.analyse(job(item("a.md")))


def test_a_document_that_is_not_text_is_analysed_as_far_as_it_can_be(
    documents: ModuleType, bucket: Any
) -> None:
    bucket.put_object(Key=f"{PREFIX}files/a.py", Body=b"\xff\x00 queue = (")
    assert documents.analyse(job(item("a.py")))["a.py"]["words"] == 1


def test_markdown_links_are_resolved_against_their_folder(documents: ModuleType) -> None:
    text = """
# Title #
[a](a.md) [b](../b.md#part) [root](/c.py) [self](#here) [web](https://x.test/d.md)
[mail](mailto:e@x.test) ![image](<i.png> "title") `[code](no.md)` [empty]()
[ref]: ./sub/f.md
```
[fenced](no.md)
# No title
```
"""
    found = documents.analysis_of("docs/x.md", text)
    assert found["links"] == ["b.md", "c.py", "docs/a.md", "docs/i.png", "docs/sub/f.md"]
    assert found["title"] == "Title"
    assert found["imports"] == []


def test_python_gives_its_title_and_imports(documents: ModuleType) -> None:
    text = '"""Does work.\n\nMore."""\nimport os.path\nfrom a.b import c, d\nfrom . import e\n'
    found = documents.analysis_of("x.py", text + "def f():\n    from ..g import h\n")
    assert found["title"] == "Does work."
    assert found["imports"] == ["..g.h", ".e", "a.b.c", "a.b.d", "os.path"]


def test_only_so_many_terms_are_kept(documents: ModuleType) -> None:
    letters = "abcdefgh"
    words = [f"zz{a}{b}" for a in letters for b in letters]
    found = documents.analysis_of("x.md", " ".join(words))
    assert (len(found["terms"]), len(found["distinct_words"])) == (40, 64)


# -- report --------------------------------------------------------------------------------------

FILES = {
    "README.md": "# Read me\nqueue queue queue machine [guide](docs/guide.md) [gone](gone.md)",
    "docs/guide.md": "# Guide\nlease lease machine [up](../README.md)",
    "pkg/__init__.py": "",
    "pkg/core.py": '"""Core."""\nimport json\nfrom . import times\n',
    "pkg/times.py": "machine = 1\n",
    "app.py": "from pkg.core import machine\nimport pkg.times\n",
    "json.py": "",
    "one/main.py": "import settings\n",
    "one/settings.py": "",
    "two/settings.py": "",
    "two/sub/main.py": "import settings\n",
}


@pytest.fixture
def result(documents: ModuleType, bucket: Any, upload: Upload) -> dict[str, Any]:
    """Run the three steps as the engine would, and return the last one's result."""
    upload(FILES)
    extras = documents.list_documents(job())
    for entry in list(extras["documents"]):
        extras |= documents.analyse(job(entry))
    found: dict[str, Any] = documents.report(job(extras=extras))
    return found


def test_the_report_lies_in_s3_and_its_place_is_returned(
    result: dict[str, Any], bucket: Any
) -> None:
    place = result["report"]
    assert (place["bucket"], place["key"]) == (BUCKET, f"{PREFIX}report.json")
    report = json.loads(bucket.Object(place["key"]).get()["Body"].read())
    assert report["summary"] == place["summary"]
    assert place["summary"]["documents"] == len(FILES)
    markdown = bucket.Object(place["markdown_key"]).get()["Body"].read().decode()
    assert "## docs/guide.md" in markdown
    assert len(json.dumps(result)) < 1000


def test_telling_words_are_frequent_here_and_rare_elsewhere(
    result: dict[str, Any], bucket: Any
) -> None:
    report = json.loads(bucket.Object(result["report"]["key"]).get()["Body"].read())
    telling = {name: [w for w, _ in f["telling"]] for name, f in report["files"].items()}
    assert telling["README.md"][0] == "queue"
    assert telling["docs/guide.md"][0] == "lease"
    assert telling["README.md"].index("machine") > telling["README.md"].index("queue")


def test_links_and_imports_lead_to_files(result: dict[str, Any], bucket: Any) -> None:
    report = json.loads(bucket.Object(result["report"]["key"]).get()["Body"].read())
    links = {name: f["links_to"] for name, f in report["files"].items() if f["links_to"]}
    assert links == {
        "README.md": ["docs/guide.md"],
        "docs/guide.md": ["README.md"],
        "app.py": ["pkg/core.py", "pkg/times.py"],
        "pkg/core.py": ["pkg/times.py"],
        "one/main.py": ["one/settings.py"],
    }
    assert report["files"]["pkg/times.py"]["linked_from"] == ["app.py", "pkg/core.py"]
    assert report["summary"]["links"] == 6
