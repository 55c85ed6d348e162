"""An LLM application with the GenAI conventions: a conversation with its tokens, a tool call and an estimated cost.

https://github.com/open-telemetry/semantic-conventions-genai

pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc
python docs/examples/llm_app.py
otlp-receiver session weather-chat-1
"""

import json

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

MODEL = "gpt-4o-mini"
CONVERSATION = "weather-chat-1"


def messages(role: str, text: str) -> str:
    """Return one message in the conventions' form."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def answer(question: str, facts: str | None) -> tuple[str, int, int]:
    """Stand for the model: return what it says, and the tokens it read and wrote."""
    if facts is None:
        return "I look up the forecast.", 412, 19
    return f"Take an umbrella: {facts}.", 447, 31


provider = TracerProvider(resource=Resource.create({"service.name": "weather-bot"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
tracer = provider.get_tracer("weather-bot", "1.0")


def chat(question: str, facts: str | None = None) -> None:
    """Call the model once, inside a span of kind CLIENT."""
    with tracer.start_as_current_span(f"chat {MODEL}", kind=SpanKind.CLIENT) as span:
        text, tokens_in, tokens_out = answer(question, facts)
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": MODEL,
                "gen_ai.conversation.id": CONVERSATION,
                "gen_ai.usage.input_tokens": tokens_in,
                "gen_ai.usage.output_tokens": tokens_out,
                "gen_ai.input.messages": messages("user", question),
                "gen_ai.output.messages": messages("assistant", text),
            }
        )


with tracer.start_as_current_span("invoke_agent weather-bot") as agent:
    agent.set_attributes({"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": CONVERSATION})
    chat("Do I need an umbrella in Porto tomorrow?")
    with tracer.start_as_current_span("execute_tool forecast") as tool:
        tool.set_attributes(
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "forecast",
                "gen_ai.tool.call.id": "call-1",
                "gen_ai.tool.call.arguments": '{"city": "Porto"}',
                "gen_ai.tool.call.result": "rain from 9 to 14 h",
                "gen_ai.conversation.id": CONVERSATION,
            }
        )
    chat("Do I need an umbrella in Porto tomorrow?", facts="rain from 9 to 14 h")
provider.shutdown()
print(f"otlp-receiver session {CONVERSATION}")
