"""HotRecord: one conversation with its text, as code hands it to a HotStore."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from receiver.errors import InvalidTraceError
from receiver.ingester.conversations import RECORD
from receiver.ingester.validation import ValidationError
from receiver.ports import ImportUnit
from receiver.sources.trace_dicts.units import TraceDicts

NAME = "conversation"
"""Name of the span that a record becomes."""
TASK_CLASS = "task_class"


class HotRecord(BaseModel):
    """One conversation. An empty ``embedding`` is made by the receiver, of ``content``."""

    model_config = ConfigDict(extra="forbid")

    system_id: str = Field(min_length=1)
    conversation_id: str = Field(min_length=1)
    content: str
    embedding: list[float] = Field(default_factory=list)
    timestamp: datetime
    """Without a zone it is UTC."""
    metadata: dict[str, Any] = Field(default_factory=dict)


def unit_of(record: HotRecord) -> ImportUnit:
    """Return the record as a unit: one trace with one span. Its key is that of its content, vector aside.

    Raises:
        ValidationError: A value of its metadata cannot be stored, or its time is before 1970 or after 2262.
    """
    attributes: dict[str, Any] = {"message": record.content, "metadata": record.metadata, RECORD: True}
    task_class = record.metadata.get(TASK_CLASS)
    if isinstance(task_class, str):
        attributes[TASK_CLASS] = task_class
    span = {
        "name": NAME,
        "start_time": record.timestamp,
        "end_time": record.timestamp,
        "status": "unset",
        "attributes": attributes,
    }
    trace = {"trace_id": record.conversation_id, "system_id": record.system_id, "spans": [span]}
    try:
        (unit,) = TraceDicts().units(trace)
    except InvalidTraceError as error:
        raise ValidationError(error.message, hint=error.hint) from None
    return unit
