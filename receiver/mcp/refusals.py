"""What an agent reads when its arguments are wrong, or when a tool fails in a way that nobody foresaw."""

from __future__ import annotations

import logging

import mcp_types
from fastmcp.exceptions import FastMCPError, ToolError, ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from pydantic import ValidationError as InvalidArgumentsError

from receiver.mcp.plain_text import plain

_MOST = 5
_LONGEST = 200


class PlainRefusals(Middleware):
    """Says which argument is wrong and why, and of failures inside only that they are in the log."""

    async def on_call_tool(
        self,
        context: MiddlewareContext[mcp_types.CallToolRequestParams],
        call_next: CallNext[mcp_types.CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """Call the tool; turn what it raises into a sentence."""
        try:
            return await call_next(context)
        except ValidationError as error:
            cause = error.__cause__
            if not isinstance(cause, InvalidArgumentsError):
                raise
            raise ToolError(_sentences(cause), log_level=logging.DEBUG) from None
        except ToolError as error:
            if isinstance(error.__cause__, FastMCPError | None) or error.log_level < logging.ERROR:
                raise
            # FastMCP has logged it with its traceback and masked it
            raise ToolError(
                f"{context.message.name} failed inside the receiver; its log has the details"
            ) from None


def _sentences(error: InvalidArgumentsError) -> str:
    """Return what is wrong with the arguments, one sentence each; values are not repeated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}" for each in found[:_MOST]]
    if len(found) > _MOST:
        said.append(f"and {len(found) - _MOST} more")
    return "; ".join(plain(each[:_LONGEST]) for each in said)
