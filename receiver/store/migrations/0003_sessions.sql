-- Which session a record belongs to and whether an AI agent made it. receiver/decode/session_columns.py says the same
-- for new rows; here rows that exist are filled from their JSON. contains() ends most rows before they are parsed, and
-- TRY leaves a row alone whose text is no JSON.

ALTER TABLE spans ADD COLUMN session_id VARCHAR;
ALTER TABLE spans ADD COLUMN is_gen_ai BOOLEAN;
ALTER TABLE logs ADD COLUMN session_id VARCHAR;
ALTER TABLE logs ADD COLUMN is_gen_ai BOOLEAN;
ALTER TABLE metric_points ADD COLUMN session_id VARCHAR;

CREATE TEMP MACRO said_session(attributes) AS TRY(
  (list_filter(
    json_extract(attributes, [
      '/session.id', '/gen_ai.conversation.id', '/conversation.id', '/conversation_id', '/copilot_chat.session_id',
      '/langfuse.session.id', '/traceloop.association.properties.session_id',
      '/traceloop.association.properties.conversation_id', '/traceloop.association.properties.thread_id'
    ]) || CASE WHEN json_exists(attributes, '/turn.id') THEN json_extract(attributes, ['/thread.id']) ELSE [] END,
    lambda value: starts_with(value::VARCHAR, '"') AND value::VARCHAR <> '""'
  )[1]) ->> '$');
CREATE TEMP MACRO may_say_session(attributes) AS
  contains(attributes, 'session.id"') OR contains(attributes, '"conversation.id"')
  OR contains(attributes, 'conversation_id"') OR contains(attributes, 'session_id"')
  OR contains(attributes, 'thread_id"') OR contains(attributes, '"thread.id"')
  OR contains(attributes, '"gen_ai.conversation.id"');
CREATE TEMP MACRO begins_like_an_agent(name) AS
  starts_with(name, 'gen_ai.') OR starts_with(name, 'claude_code.') OR starts_with(name, 'qwen-code.')
  OR starts_with(name, 'gemini_cli.') OR starts_with(name, 'codex.') OR starts_with(name, 'copilot_chat.')
  OR starts_with(name, 'github.copilot.') OR starts_with(name, 'opencode.');
CREATE TEMP MACRO may_be_gen_ai(attributes) AS
  regexp_matches(attributes,
    '"(gen_ai\.|claude_code\.|qwen-code\.|gemini_cli\.|codex\.|copilot_chat\.|github\.copilot\.|opencode\.)'
    || '|"(openinference\.span\.kind|llm\.request\.type|traceloop\.span\.kind|langfuse\.observation\.type)"');
CREATE TEMP MACRO says_gen_ai(attributes) AS coalesce(TRY(
  len(list_filter(json_keys(attributes), lambda key: begins_like_an_agent(key) OR key IN (
    'openinference.span.kind', 'llm.request.type', 'traceloop.span.kind', 'langfuse.observation.type'))) > 0
  OR (json_type(attributes, '/event.name') = 'VARCHAR'
    AND begins_like_an_agent(json_extract_string(attributes, '/event.name')))), false);

UPDATE spans SET session_id = said_session(attributes) WHERE may_say_session(attributes);
UPDATE spans SET is_gen_ai = true
  WHERE begins_like_an_agent(name) OR CASE WHEN may_be_gen_ai(attributes) THEN says_gen_ai(attributes) END;
UPDATE logs SET session_id = said_session(attributes) WHERE may_say_session(attributes);
UPDATE logs SET is_gen_ai = true
  WHERE begins_like_an_agent(event_name) OR CASE WHEN may_be_gen_ai(attributes) THEN says_gen_ai(attributes) END;
UPDATE metric_points SET session_id = said_session(attributes) WHERE may_say_session(attributes);

-- What a resource says counts for records that say nothing themselves.
CREATE TEMP TABLE resource_sessions AS
  SELECT resource_id, any_value(session) AS session FROM (
    SELECT resource_id, TRY(list_filter(
        json_extract(attributes, ['/session.id', '/gen_ai.conversation.id']),
        lambda value: starts_with(value::VARCHAR, '"') AND value::VARCHAR <> '""'
      )[1] ->> '$') AS session
    FROM resources WHERE may_say_session(attributes)
  ) WHERE session IS NOT NULL GROUP BY resource_id;
UPDATE spans SET session_id = said.session FROM resource_sessions said
  WHERE spans.resource_id = said.resource_id AND spans.session_id IS NULL;
UPDATE logs SET session_id = said.session FROM resource_sessions said
  WHERE logs.resource_id = said.resource_id AND logs.session_id IS NULL;
UPDATE metric_points SET session_id = said.session FROM metric_content metric, resource_sessions said
  WHERE metric_points.metric_id = metric.metric_id AND metric.resource_id = said.resource_id
    AND metric_points.session_id IS NULL;

DROP TABLE resource_sessions;
DROP MACRO said_session;
DROP MACRO may_say_session;
DROP MACRO begins_like_an_agent;
DROP MACRO may_be_gen_ai;
DROP MACRO says_gen_ai;
