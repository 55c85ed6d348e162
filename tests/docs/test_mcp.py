"""docs/mcp.md names exactly the tools, resources and prompts that are served."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from fastmcp import Client, FastMCP

from receiver.access import Access
from receiver.app.request_reader import DecodingRequestReader
from receiver.config import Settings
from receiver.errors import StoreUnavailableError
from receiver.mcp.server import build_server
from tests.support.pages import blocks_of, text_of

PAGE = "docs/mcp.md"


async def _nobody() -> Access:
    raise StoreUnavailableError("nobody is asked for names")


@pytest.fixture
def server() -> FastMCP:
    """Give the server; its tools are not called."""
    return build_server(_nobody, Settings(), requests_of=DecodingRequestReader)


def _first_column(heading: str) -> set[str]:
    """Return the names in the first column of the table below a heading."""
    section = text_of(PAGE).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


async def test_the_tools_of_the_page_are_those_served(server: FastMCP) -> None:
    """No tool is missing and none is invented."""
    async with Client(server) as client:
        assert _first_column("Tools") == {tool.name for tool in await client.list_tools()}


async def test_the_prompts_of_the_page_are_those_served(server: FastMCP) -> None:
    """With their arguments."""
    async with Client(server) as client:
        prompts = await client.list_prompts()
    assert _first_column("Resources and prompts") == {prompt.name for prompt in prompts}
    for prompt in prompts:
        arguments = ", ".join(f"`{each.name}`" for each in prompt.arguments or ())
        assert f"| `{prompt.name}` | {arguments} |" in text_of(PAGE)


async def test_the_resources_of_the_page_are_those_served(server: FastMCP) -> None:
    """Addresses and templates."""
    async with Client(server) as client:
        served = {str(each.uri) for each in await client.list_resources()}
        served |= {each.uri_template for each in await client.list_resource_templates()}
    assert set(re.findall(r"otlp://[\w/{}]+", text_of(PAGE))) == served


def test_the_configurations_can_be_read() -> None:
    """Every JSON and TOML block of the page is what it says."""
    for text in blocks_of(PAGE, "json"):
        json.loads(text)
    for text in blocks_of(PAGE, "toml"):
        tomllib.loads(text)
