"""Task functions of `shiftwork demo-workers`, as a user would write them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from shiftwork.worker import Failure, Task, TaskResult, worker_task

_QUESTIONS = 4
_NEXT_QUESTION_S = 3
_PACKING_S = 1.5


@dataclass
class Parcel:
    """One of the request's parcels."""

    id: str
    weight_kg: float


@worker_task("parcels.pack", batch_size=3)
def pack(item: Parcel, task: Task) -> dict[str, Any]:
    """Pack a parcel, which takes a while."""
    if item.weight_kg > 30:
        raise Failure(f"{item.id} is too heavy for a parcel")
    task.log(f"packing {item.id}")
    task.wait(_PACKING_S)
    return {item.id: {"boxes": 1 + int(item.weight_kg // 10)}}


@worker_task("parcels.book-carrier")
def book_carrier(task: Task) -> TaskResult:
    """Ask once a round; the task returns to the queue with what it has learned so far."""
    asked = task.output.get("asked", 0) + 1
    if asked < _QUESTIONS:
        return TaskResult.in_progress(_NEXT_QUESTION_S, {"asked": asked}, [f"question {asked}"])
    return TaskResult(output={"asked": asked, "carrier": "Albatross"})


@worker_task("parcels.hand-over", processes=1)
def hand_over(extras: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Count the boxes, in a process of its own."""
    boxes = sum(extras[parcel["id"]]["boxes"] for parcel in params["parcels"])
    return {"handed_over": {"boxes": boxes, "to": extras["carrier"], "by_process": os.getpid()}}
