"""Turn slots and rates of limited job types into DynamoDB's items, and back."""

from __future__ import annotations

from datetime import datetime

from shiftwork_core.adapters.dynamodb.expressions import Item, from_wire, to_wire
from shiftwork_core.domain.times import to_iso
from shiftwork_core.ports.jobs import Slot


def slot_key(type: str, number: int) -> Item:
    """Return the key of a limited job type's slot."""
    return to_wire({"name": f"slots#{type}", "slot": f"{number:04d}"})


def slot_item(type: str, number: int, holder: str, claim_id: str) -> Item:
    """Return the item of a slot that is taken."""
    return slot_key(type, number) | to_wire({"holder": holder, "claim_id": claim_id})


def slot_from(type: str, item: Item) -> Slot:
    """Return the slot of an item."""
    values = from_wire(item)
    return Slot(type, int(values["slot"]), values["holder"], values["claim_id"])


def rate_key(type: str, window: datetime) -> Item:
    """Return the key of a window of a job type's rate."""
    return to_wire({"name": f"rate#{type}", "slot": to_iso(window)})
