"""Agents' sessions as tables. Every text of telemetry goes through :func:`receiver.cli.terminal.styled`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from receiver.cli import wording
from receiver.cli.tables import _joined, _table
from receiver.cli.terminal import styled

Answer = Mapping[str, Any]

_NOTHING = "no session found"
_PROMPT = 400
_ERROR = 200
_TYPES = ("input", "cache_read", "cache_creation", "output")
_ESTIMATED = frozenset({"estimated", "mixed"})


def draw_sessions(out: Console, answer: Answer) -> None:
    """Draw one row per session, the latest first."""
    if not answer["sessions"]:
        out.print(_NOTHING)
        return
    table = _table("session", "duration>", "turns>", "calls>", "tools>", "errors>", "tokens>", "cost>")
    for each in answer["sessions"]:
        origin = _joined(
            "  ",
            styled(each["agent"], "green"),
            styled(", ".join(each["models"]), "dim"),
            styled(wording.local_time(each["time_unix_nano"]), "dim"),
        )
        table.add_row(
            _joined("\n", styled(each["session_id"], "bold cyan"), styled(each["first_prompt"]), origin),
            wording.duration(each["duration_ms"]),
            wording.count(each["turn_count"]),
            wording.count(each["model_calls"]),
            wording.count(each["tool_calls"]),
            _errors(each["errors"]),
            wording.count(each["tokens"]["total"]),
            _cost(each),
        )
    out.print(table)


def draw_session(out: Console, answer: Answer) -> None:
    """Draw a session: its sums, its models, and its turns with their calls."""
    out.print(_heading(answer), soft_wrap=True)
    for line in _sums(answer):
        out.print(line, soft_wrap=True)
    if answer["models"]:
        out.print(_models(answer["models"]))
    for turn in answer["turns"]:
        _draw_turn(out, turn)


def _heading(answer: Answer) -> Text:
    when = styled(wording.local_time(answer["time_unix_nano"]), "dim")
    agent = styled(answer["agent"], "green")
    services = styled(", ".join(answer["services"]), "dim")
    return _joined("  ", styled(f"session {answer['session_id']}", "bold cyan"), agent, services, when)


def _sums(answer: Answer) -> list[Text]:
    counted = [
        wording.duration(answer["duration_ms"]),
        wording.plural(answer["turn_count"], "turn"),
        wording.plural(answer["model_calls"], "model call"),
        wording.plural(answer["tool_calls"], "tool call"),
    ]
    first = styled(", ".join(each for each in counted if each))
    if answer["errors"]:
        first.append_text(styled(f", {wording.plural(answer['errors'], 'error')}", "bold red"))
    cost = Text("cost ").append_text(_cost(answer)).append_text(styled(f" ({answer['cost_source']})", "dim"))
    lines = [first, styled(_tokens(answer["tokens"])), cost]
    if answer["unpriced_models"]:
        names = ", ".join(each or "(no name)" for each in answer["unpriced_models"])
        lines.append(styled(f"the price table does not have: {names}", "yellow"))
    beyond = answer["unattributed"]
    if beyond:
        amount = f"${beyond['cost_usd']:.4f}" if beyond["cost_usd"] else "no cost"
        said = f"beyond these calls metrics count {_tokens(beyond['tokens'])}, {amount}"
        lines.append(styled(said, "yellow"))
    return lines


def _models(models: list[Answer]) -> Any:
    table = _table("model", "calls>", *(f"{each.replace('_', ' ')}>" for each in _TYPES), "cost>")
    for each in models:
        table.add_row(
            styled(each["model"] or "(no name)"),
            wording.count(each["model_calls"]),
            *(wording.count(each["tokens"][name]) for name in _TYPES),
            _cost(each),
        )
    return table


def _draw_turn(out: Console, turn: Answer) -> None:
    prompt = styled(turn["prompt"][:_PROMPT] or "(no prompt)", "bold" if turn["prompt"] else "dim")
    sums = _joined(
        ", ",
        styled(wording.local_time(turn["time_unix_nano"])),
        styled(wording.duration(turn["duration_ms"])),
        styled(f"{turn['tokens']['total']:,} tokens"),
        _cost(turn),
    )
    out.print(_joined("  ", Text(f"turn {turn['turn']}", style="bold"), prompt), soft_wrap=True)
    out.print(Text("  ").append_text(sums), soft_wrap=True, style="dim")
    for call in turn["calls"]:
        out.print(Text("  ").append_text(_call(call)), soft_wrap=True)
        for fault in call["faults"]:
            out.print(Text("    ").append_text(_fault(fault)), soft_wrap=True)
    for fault in turn["faults"]:
        out.print(Text("  ").append_text(_fault(fault)), soft_wrap=True)


def _call(call: Answer) -> Text:
    failed = call["status"] == "error"
    is_model = call["type"] == "model"
    name = (call["model"] or call["name"]) if is_model else call["name"]
    parts = [
        Text(f"{wording.duration(call['duration_ms']):>10} {call['type']:<5}"),
        styled(name or "(no name)", "bold red" if failed else "" if is_model else "cyan"),
    ]
    if is_model:
        if call["tokens"]:
            parts.append(styled(_tokens(call["tokens"]), "dim"))
        parts.append(_cost(call))
        if call["time_to_first_token_ms"] is not None:
            waited = wording.duration(call["time_to_first_token_ms"])
            parts.append(styled(f"first token after {waited}", "dim"))
    if call["agent"]:
        parts.append(styled(f"by {call['agent']}", "green"))
    if failed:
        parts.append(styled(f"error: {call['error'][:_ERROR]}".rstrip(": "), "bold red"))
    return _joined("  ", *parts)


def _fault(fault: Answer) -> Text:
    return styled(f"failed: {fault['error'][:_ERROR]}", "red")


def _tokens(tokens: Answer) -> str:
    parts = [f"{tokens[name]:,} {name.replace('_', ' ')}" for name in _TYPES if tokens[name]]
    return f"{tokens['total']:,} tokens" + (f" ({', '.join(parts)})" if len(parts) > 1 else "")


def _errors(count: int) -> Text:
    return Text(wording.count(count), style="bold red" if count else "dim")


def _cost(row: Answer) -> Text:
    """Return an amount; ``~`` says that it, or a part of it, is estimated."""
    amount = row["cost_usd"]
    if amount is None:
        return Text("?" if row["tokens"] and row["tokens"]["total"] else "", style="dim")
    return Text(f"{'~' if row['cost_source'] in _ESTIMATED else ''}${amount:,.4f}")
