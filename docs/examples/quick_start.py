"""The Python API: traces as plain dicts go in, and are found by what they mean. No server, no SDK.

pip install 'otlp-receiver[embed]'
python docs/examples/quick_start.py
"""

import asyncio

from receiver import HotStore, OtelIngester


async def main() -> None:
    hot_store = HotStore(database_path=":memory:")
    await hot_store.initialize()
    async with OtelIngester(hot_store=hot_store) as ingester:
        await ingester.ingest_trace(
            {
                "trace_id": "trace-123",
                "spans": [
                    {
                        "name": "POST /checkout",
                        "start_time": "2026-11-02T09:15:00Z",
                        "end_time": "2026-11-02T09:15:01.5Z",
                        "attributes": {"service.name": "claude-shop", "http.status_code": 502},
                    },
                    {
                        "name": "charge card",
                        "start_time": "2026-11-02T09:15:00.2Z",
                        "attributes": {
                            "service.name": "claude-shop",
                            "error.message": "the bank did not answer",
                        },
                    },
                ],
            }
        )
        for found in await ingester.search_traces("payment problems", limit=5):
            print(
                found["conversation_id"], found["system_id"], found["content"], round(found["similarity"], 2)
            )
        print(await ingester.get_trace_by_id("trace-123"))


asyncio.run(main())
