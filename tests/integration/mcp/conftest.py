"""A receiver in this process, its query listener with /mcp, and real clients of both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from receiver.app.embedded import EmbeddedReceiver
from receiver.config import Settings
from tests.support.mcp_agent import Agent, agent_over_http, agent_over_stdio
from tests.support.mcp_listener import McpListener


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the settings of a receiver that does not embed."""
    return Settings.model_validate({"data_dir": str(tmp_path / "data"), "embed": {"enabled": False}})


@pytest.fixture
async def listener(settings: Settings) -> AsyncIterator[McpListener]:
    """Give a running listener."""
    receiver = await EmbeddedReceiver.open(settings)
    listener = McpListener(receiver, settings)
    try:
        await listener.start()
        yield listener
    finally:
        await listener.stop()
        await receiver.close()


@pytest.fixture
def over(listener: McpListener, tmp_path: Path) -> Callable[[str], Agent]:
    """Give what makes a client: ``over("http")`` or ``over("stdio")``, which starts the program."""

    def client(transport: str) -> Agent:
        if transport == "http":
            return agent_over_http(listener.url)
        return agent_over_stdio("--endpoint", listener.url, folder=tmp_path)

    return client


@pytest.fixture
async def agent(over: Callable[[str], Agent]) -> AsyncIterator[Agent]:
    """Give a connected client over HTTP."""
    async with over("http") as client:
        yield client
