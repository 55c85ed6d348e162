"""A web page of somebody else in a real browser: it reaches nothing on the query listener, and on 4318 only what CORS allows."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.otlp_requests import T0
from tests.support.receiver_process import ReceiverProcess

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAYS_S = 4
"""Longest that the page waits for one of its ways."""

# Each way ends with a word: what the page could see, or why it could see nothing.
_PAGE = """<!doctype html><meta charset="utf-8"><body><iframe name="sink"></iframe><script>
const query = "http://QUERY", otlp = "http://OTLP", found = {};
const span = name => JSON.stringify({resourceSpans: [{scopeSpans: [{spans: [{traceId: "ab".repeat(16),
  spanId: "cd".repeat(8), name, startTimeUnixNano: "TIME", endTimeUnixNano: "TIME"}]}]}]});
const json = {"content-type": "application/json"};
const asked = (url, options) => fetch(url, options).then(async r => r.type === "opaque" ? "opaque" : "read " + r.status + " " + (await r.text()).slice(0, 60));
const element = (tag, url) => new Promise((yes, no) => { const e = document.createElement(tag); e.onload = () => yes("loaded"); e.onerror = no; e.src = url; document.body.append(e); });
const form = (url, type) => new Promise(yes => { const f = document.createElement("form"); f.method = "post"; f.action = url; f.enctype = type; f.target = "sink";
  const i = document.createElement("input"); i.name = '{"query": "SELECT 1", "x": "'; i.value = '"}'; f.append(i); document.body.append(f); document.querySelector("iframe").onload = () => yes("sent"); f.submit(); });
const ways = {
  "query get": () => asked(query + "/api/v1/stats"),
  "query get no-cors": () => asked(query + "/api/v1/stats", {mode: "no-cors"}),
  "query post": () => asked(query + "/api/v1/sql", {method: "POST", headers: json, body: '{"query": "SELECT 1"}'}),
  "query post text": () => asked(query + "/api/v1/requeue", {method: "POST", headers: {"content-type": "text/plain"}, body: "{}"}),
  "query post no-cors": () => asked(query + "/api/v1/requeue", {method: "POST", mode: "no-cors", body: "{}"}),
  "query import": () => asked(query + "/api/v1/imports", {method: "POST", mode: "no-cors", body: "{}"}),
  "query mcp": () => asked(query + "/mcp", {method: "POST", headers: json, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'}),
  "query metrics": () => asked(query + "/metrics"),
  "query script": () => element("script", query + "/api/v1/services"),
  "query image": () => element("img", query + "/api/v1/services"),
  "query form": () => form(query + "/api/v1/sql", "text/plain"),
  "query socket": () => new Promise((yes, no) => { const s = new WebSocket(query.replace("http", "ws") + "/api/v1/stats"); s.onopen = () => yes("open"); s.onerror = no; }),
  "query events": () => new Promise((yes, no) => { const s = new EventSource(query + "/mcp"); s.onopen = () => yes("open"); s.onerror = no; }),
  "otlp json": () => asked(otlp + "/v1/traces", {method: "POST", headers: json, body: span("from fetch")}),
  "otlp text": () => asked(otlp + "/v1/traces", {method: "POST", headers: {"content-type": "text/plain"}, body: span("from text")}),
  "otlp no-cors": () => asked(otlp + "/v1/traces", {method: "POST", mode: "no-cors", body: span("from no-cors")}),
  "otlp beacon": () => { navigator.sendBeacon(otlp + "/v1/traces", new Blob([span("from beacon")], {type: "application/json"})); return asked(otlp + "/v1/traces"); },
  "otlp form": () => form(otlp + "/v1/traces", "text/plain"),
};
(async () => {
  for (const [name, way] of Object.entries(ways)) {
    const late = new Promise(yes => setTimeout(() => yes("nothing within time"), WAYS_MS));
    found[name] = await Promise.race([late, Promise.resolve().then(way).catch(e => "refused " + (e.message || e.type))]);
  }
  fetch("/found", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


class _Site:
    """Another site: a page on a port of its own, and what the page says it has found."""

    def __init__(self, page: str) -> None:
        self.found: dict[str, str] = {}
        self.done = threading.Event()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(page.encode())

            def do_POST(self) -> None:
                site.found = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(204)
                self.end_headers()
                site.done.set()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[ReceiverProcess]:
    """Give a receiver whose pages are those of one origin that is not the page's."""
    allowed = {"OTLP_RECEIVER_LISTEN__CORS_ORIGINS": '["http://app.example"]'}
    with ReceiverProcess(tmp_path / "data", environment=allowed) as process:
        process.flush()
        yield process


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_site_reaches_nothing(receiver: ReceiverProcess, tmp_path: Path, host: str) -> None:
    """Every way a page has: no answer is read, nothing is asked, and no record is stored."""
    assert BROWSER is not None
    port, otlp = (each.rpartition(":")[2] for each in (receiver.query, receiver.http))
    replaced = {
        "QUERY": f"{host}:{port}",
        "OTLP": f"{host}:{otlp}",
        "TIME": str(T0),
        "WAYS_MS": str(WAYS_S * 1000),
    }
    page = _PAGE
    for name, value in replaced.items():
        page = page.replace(name, value)
    site = _Site(page)
    site.thread.start()
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
        f"http://127.0.0.1:{site.server.server_address[1]}/",
    ]  # fmt: skip
    try:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                assert site.done.wait(100), "the page did not come to its end"
            finally:
                browser.terminate()
    finally:
        site.server.shutdown()
        site.server.server_close()
        site.thread.join()
    seen = {way: what for way, what in site.found.items() if what.startswith(("read", "loaded", "open"))}
    assert len(site.found) == len(re.findall(r'^  "(?:query|otlp) ', _PAGE, re.MULTILINE))
    assert not seen, seen
    receiver.flush()
    assert receiver.sql("SELECT name FROM spans") == []
