"""Turns from prompts and calls: what a user asked for, and everything that was called until it was answered.

Records name their turn in different ways: by the prompt's id, by the span of the interaction that they stand in, by the
user's message. Names that meet at one call, or at one prompt, are names of one turn. Prompts that different records
tell within two seconds are one prompt. A call without any of these names belongs to the one turn of its trace, else to
the turn whose prompt was the latest before it; in a session without prompts each trace is a turn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from receiver.sessions.attributes import REDACTED
from receiver.sessions.calls import Call
from receiver.sessions.statements import FaultStatement, PromptStatement
from receiver.sessions.union import Union
from receiver.times import NS

_SAME_PROMPT_NS = 2 * NS
_COMPARED = 200
"""Characters of two prompts that must agree: one record may hold less of a long one."""


@dataclass(slots=True)
class Turn:
    """One turn."""

    prompts: list[PromptStatement] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    faults: list[FaultStatement] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Return the name that its agent gave it; a span's or trace's where it gave none."""
        for kind in ("prompt:", "message:", "span:", "trace:"):
            for name in self.names:
                if name.startswith(kind):
                    return name.removeprefix(kind)
        return ""

    @property
    def start_ns(self) -> int:
        """Return when it began: with its prompt, or else with its first call."""
        times = [each.time_ns for each in self.prompts] or [each.start_ns for each in self.calls]
        return min(times or [each.time_ns for each in self.faults], default=0)

    @property
    def end_ns(self) -> int:
        """Return when its last part ended."""
        ends = [each.end_ns for each in self.prompts] + [each.end_ns for each in self.calls]
        return max(ends + [each.time_ns for each in self.faults], default=0)

    @property
    def prompt(self) -> str:
        """Return what the user said; the mark of a redacted text where no record holds it."""
        said = [each.text for each in sorted(self.prompts, key=lambda each: each.context.origin) if each.text]
        said += [each.prompt for each in self.calls if each.prompt]
        return next((each for each in said if each not in REDACTED), said[0] if said else "")

    @property
    def trace_ids(self) -> tuple[str, ...]:
        """Return the traces that it is told in."""
        prompts = (each.context.trace_id for each in self.prompts)
        calls = (trace for call in self.calls for trace in call.trace_ids)
        return tuple(dict.fromkeys(each for each in (*prompts, *calls) if each))

    def take(self, other: Turn) -> None:
        """Add all of another one."""
        self.prompts += other.prompts
        self.calls += other.calls
        self.faults += other.faults
        self.names += other.names


def turns_of(
    calls: Sequence[Call], prompts: Sequence[PromptStatement], faults: Sequence[FaultStatement]
) -> list[Turn]:
    """Return the turns, earliest first; each call, prompt and fault is in exactly one."""
    turns, loose = _named(calls, prompts)
    turns = _same_prompts(turns)
    turns, loose = _without_subagents(turns, loose)
    placing = _Placing(turns)
    for call in loose:
        placing.turn_for(call.trace_ids, call.start_ns).calls.append(call)
    for fault in faults:
        placing.turn_for_fault(fault).faults.append(fault)
    for turn in placing.turns:
        turn.calls.sort(key=lambda each: (each.start_ns, each.end_ns, each.id))
    return sorted(placing.turns, key=lambda each: (each.start_ns, each.id))


def _named(calls: Sequence[Call], prompts: Sequence[PromptStatement]) -> tuple[list[Turn], list[Call]]:
    """Return a turn for each set of names that meet, and the calls that name none."""
    members = [(each.context.turn_ids, each) for each in prompts] + [(each.turn_ids, each) for each in calls]
    union = Union(len(members))
    first: dict[str, int] = {}
    for number, (names, _) in enumerate(members):
        for name in names:
            union.join(number, first.setdefault(name, number))
    turns: list[Turn] = []
    loose: list[Call] = []
    for group in union.groups().values():
        turn = Turn()
        for number in group:
            names, member = members[number]
            turn.names += names
            if isinstance(member, PromptStatement):
                turn.prompts.append(member)
            elif names:
                turn.calls.append(member)
            else:
                loose.append(member)
        turn.names = list(dict.fromkeys(turn.names))
        if turn.prompts or turn.calls:
            turns.append(turn)
    return turns, loose


def _same_prompts(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns, those joined whose prompts different records tell at nearly the same time."""
    found: list[Turn] = [each for each in turns if not each.prompts]
    prompted = sorted((each for each in turns if each.prompts), key=lambda each: each.start_ns)
    open_ones: list[Turn] = []
    for turn in prompted:
        open_ones = [each for each in open_ones if turn.start_ns - each.start_ns <= _SAME_PROMPT_NS]
        twin = next((each for each in open_ones if _one_prompt(each, turn)), None)
        if twin is None:
            open_ones.append(turn)
            found.append(turn)
        else:
            twin.take(turn)
    return found


def _one_prompt(one: Turn, other: Turn) -> bool:
    mine, others = ({(p.context.origin, p.context.record) for p in turn.prompts} for turn in (one, other))
    if mine & others:
        return False
    said = [turn.prompt.strip()[:_COMPARED] for turn in (one, other)]
    told = [each for each in said if each and each not in REDACTED]
    return len(set(told)) < 2


def _without_subagents(turns: Sequence[Turn], loose: list[Call]) -> tuple[list[Turn], list[Call]]:
    """Return the turns but those that only subagents' calls make up: these are a part of the turn around them."""
    if not any(each.prompts for each in turns):
        return list(turns), loose
    kept: list[Turn] = []
    for turn in turns:
        if turn.prompts or not all(each.agent for each in turn.calls):
            kept.append(turn)
        else:
            loose = loose + turn.calls
    return kept, loose


class _Placing:
    """Finds the turn of what names none."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self.turns = list(turns)
        self._by_name = {name: turn for turn in self.turns for name in turn.names}
        self._by_trace: dict[str, list[Turn]] = defaultdict(list)
        for turn in self.turns:
            for trace in turn.trace_ids:
                self._by_trace[trace].append(turn)
        self._prompted = sorted((each for each in self.turns if each.prompts), key=lambda each: each.start_ns)
        self._starts = [each.start_ns for each in self._prompted]

    def turn_for(self, traces: Sequence[str], time_ns: int) -> Turn:
        """Return the turn of the only trace, else the one with the latest prompt before, else a new one."""
        for trace in traces:
            if len(self._by_trace.get(trace, ())) == 1:
                return self._by_trace[trace][0]
        before = bisect_right(self._starts, time_ns)
        if before:
            return self._prompted[before - 1]
        name = f"trace:{traces[0]}" if traces else "trace:"
        if name not in self._by_name:
            turn = Turn(names=[name])
            self.turns.append(turn)
            self._by_name[name] = turn
            for trace in traces:
                self._by_trace[trace].append(turn)
        return self._by_name[name]

    def turn_for_fault(self, fault: FaultStatement) -> Turn:
        """Return the turn that the fault names, else the one for its trace and time."""
        for name in fault.context.turn_ids:
            if name in self._by_name:
                return self._by_name[name]
        trace = fault.context.trace_id
        return self.turn_for((trace,) if trace else (), fault.time_ns)
