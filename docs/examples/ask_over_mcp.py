"""What an AI agent does over MCP, done by hand: look from far away first, then closer.

pip install fastmcp
python docs/examples/ask_over_mcp.py "payment was refused"
"""

import asyncio
import os
import sys

from fastmcp import Client

RECEIVER = os.environ.get("OTLP_RECEIVER_ENDPOINT", "http://localhost:8888")


async def main(question: str) -> None:
    async with Client(f"{RECEIVER}/mcp") as agent:
        print("tools:", ", ".join(sorted(tool.name for tool in await agent.list_tools())))
        found = (await agent.call_tool("search_otel_traces", {"query": question, "limit": 1})).data
        trace_id = found[0]["conversation_id"]
        print("found:", trace_id)
        outline = await agent.call_tool("trace_outline", {"trace_id": trace_id})
        print(outline.content[0].text)


asyncio.run(main(" ".join(sys.argv[1:]) or "payment was refused"))
