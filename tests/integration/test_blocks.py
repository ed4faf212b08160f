"""Jobs that share rows, on the deployed stack."""

from __future__ import annotations

from typing import Any

from tests.integration.lab import Lab, unique


def in_blocks(type: str, block: int, **params: Any) -> dict[str, Any]:
    entry = {"name": "load", "type": f"probe.{type}", "for_each": "params.items", "block": block}
    return entry | ({"params": params} if params else {})


def test_jobs_of_a_block_are_retried_and_shown_each_by_itself(lab: Lab) -> None:
    # What an item says is how often its job asks for a retry.
    items = [2 if n == 42 else 1 if n % 25 == 7 else 0 for n in range(100)]
    name = lab.define([in_blocks("flaky", 40, failures="{item}")])
    request_id = lab.api.submit(name, {"items": items})["request_id"]
    request = lab.completed(request_id)
    assert request["extras"] == {f"load[{n}]": 1 + failures for n, failures in enumerate(items)}
    assert (
        request["steps"][0]["jobs"] | {"completed": 100, "retry": sum(items)}
        == (request["steps"][0]["jobs"])
    )
    attempts = lab.attempts(request_id)
    assert len(attempts) == 100 + sum(items)
    [last] = [a for a in attempts if a["attempt_id"] == f"{request_id}.1.42.3"]
    assert (last["job"], last["item"], last["status"]) == ("load[42]", 2, "completed")
    assert last["output"] == {"load[42]": 3}


def test_thousands_of_jobs_in_blocks_are_run_by_a_distributed_map(lab: Lab) -> None:
    after = {"name": "after", "type": "probe.echo", "params": {"seen": "{length(keys(extras))}"}}
    name = lab.define([in_blocks("flaky", 50, failures=0)], [after])
    request_id = lab.api.submit(name, {"items": list(range(3_000))})["request_id"]
    request = lab.completed(request_id)
    assert request["steps"][0]["job_count"] == 3_000
    assert request["steps"][0]["jobs"]["completed"] == 3_000
    assert request["extras"] == {f"load[{n}]": 1 for n in range(3_000)} | {"seen": 3_000}


def test_items_come_from_a_csv_in_s3_and_some_may_be_bad(lab: Lab) -> None:
    rows = "".join(f'{2 if n % 500 == 499 else 0},"row {n}\n of many"\n' for n in range(5_000))
    key = f"manifests/{unique('rows')}.csv"
    bucket = lab.outputs["BlobsBucketName"]
    lab.client("s3").put_object(Bucket=bucket, Key=key, Body=f"failures,text\n{rows}".encode())
    params = {"failures": "{to_number(item.failures)}", "delay_s": 0}
    entry = {"name": "load", "type": "probe.flaky", "block": 100, "tolerate": "1%"}
    name = lab.define([entry | {"for_each_in": "params.rows", "params": params}])
    request_id = lab.api.submit(name, {"rows": f"s3://{bucket}/{key}"})["request_id"]
    request = lab.completed(request_id)
    counts = request["steps"][0]["jobs"]
    assert (counts["completed"], counts["retry"]) == (5_000, 20)
    last = [a for a in lab.api.jobs(request_id, step=1) if a["job"] == "load[4999]"][-1]
    assert (last["item"], last["attempt"]) == ({"failures": "2", "text": "row 4999\n of many"}, 3)


def test_a_job_of_a_block_that_fails_ends_the_request_by_its_name(lab: Lab) -> None:
    name = lab.define([in_blocks("fail", 10, message="no. {item}")])
    request_id = lab.api.submit(name, {"items": list(range(30))})["request_id"]
    error = lab.failed(request_id)["error"]
    assert error is not None and error["attempt_id"] is not None
    assert error["type"] == "Failure"
    number = int(error["attempt_id"].split(".")[2])
    assert error["job"] == f"load[{number}]"
    assert f"no. {number}" in error["message"]


def test_the_failures_that_a_step_tolerated_are_listed_each_by_its_own_attempt(lab: Lab) -> None:
    items = [{3: -1, 42: -1, 55: 9}.get(n, 1 if n % 10 == 7 else 0) for n in range(100)]
    entry = in_blocks("flaky", 40, failures="{item}") | {"tolerate": 3}
    name = lab.define([entry], [{"name": "last", "type": "probe.fail"}])
    request_id = lab.api.submit(name, {"items": items})["request_id"]
    lab.failed(request_id)

    def failures(step: int | None = None) -> list[tuple[str, str, str | None]]:
        """Return what is listed: each attempt, its error's type, and its item."""
        return [
            (f["attempt_id"].removeprefix(f"{request_id}."), f["error"]["type"], f["item"])
            for f in lab.api.failures(request_id, step=step)
            if f["error"] is not None
        ]

    tolerated = [("1.3.1", "Failure", "-1"), ("1.42.1", "Failure", "-1"), ("1.55.4", "Retry", "9")]
    assert failures() == [*tolerated, ("2.0.1", "Failure", None)]
    lab.api.retry(request_id)
    lab.failed(request_id)
    assert failures() == [*tolerated, ("2.0.2", "Failure", None)]
    assert failures(step=1) == tolerated
    page = lab.api.failures_page(request_id, limit=2)
    rest = lab.api.failures_page(request_id, limit=2, next_token=page["next_token"])
    found = [failed["job"] for failed in page["items"] + rest["items"]]
    assert found == ["load[3]", "load[42]", "load[55]", "last"]


def test_a_block_whose_process_dies_is_done_by_another(lab: Lab) -> None:
    name = lab.define([in_blocks("die", 5)])
    request_id = lab.api.submit(name, {"items": list(range(5))})["request_id"]
    request = lab.completed(request_id)
    assert set(request["extras"]) == {f"load[{n}]" for n in range(5)}
    errors = {a["error"]["type"] for a in lab.attempts(request_id) if a["error"]}
    assert errors == {"LeaseExpired"}


def test_results_are_the_next_steps_items_and_a_completed_request_is_retried(lab: Lab) -> None:
    bad = [7, 32, 57, 82]
    first = in_blocks("mended", 40) | {"tolerate": 5, "collect": "manifest"}
    then = {"name": "then", "type": "probe.flaky", "for_each_in": "extras.load", "block": 30}
    then |= {"params": {"failures": 0}, "collect": "none"}
    name = lab.define([first], [then])
    request_id = lab.api.submit(name, {"items": list(range(100)), "bad": bad})["request_id"]
    request = lab.completed(request_id)
    assert request["extras"]["load"]["count"] == 96
    assert [step["job_count"] for step in request["steps"]] == [100, 96]
    items = [a["item"]["item"] for a in lab.attempts(request_id) if a["step"] == 2]
    assert items == [n for n in range(100) if n not in bad]
    lab.api.retry(request_id)
    request = lab.completed(request_id)
    assert request["extras"]["load"]["count"] == 100
    assert (request["steps"][0]["jobs"]["completed"], request["steps"][1]["job_count"]) == (100, 96)
    again = [a["attempt_id"] for a in lab.attempts(request_id) if a["attempt"] == 2]
    assert again == [f"{request_id}.1.{n}.2" for n in bad]
