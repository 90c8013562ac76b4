"""Every name that leaves a service in a log, a trace or a metric. Nothing else spells them out.

`gen_ai.*`, `rpc.*`, `error.*` and `server.*` are OpenTelemetry's semantic conventions; `gatehouse.*` is ours.
Prompts, answers and tool arguments have no name here: they are never recorded.
"""

# ruff: noqa: S105 - `token` in a name of a metric or attribute is no password

from __future__ import annotations

from typing import Final

# Log events -----------------------------------------------------------------------------------------------------------
EVENT_SERVICE_STARTED: Final = "service_started"
EVENT_SERVICE_READY: Final = "service_ready"
EVENT_SERVICE_STOPPING: Final = "service_stopping"
EVENT_SERVICE_STOPPED: Final = "service_stopped"
EVENT_RPC_FINISHED: Final = "rpc_finished"
EVENT_RPC_CRASHED: Final = "rpc_crashed"
EVENT_DEPENDENCY_LOST: Final = "dependency_lost"
EVENT_DEPENDENCY_BACK: Final = "dependency_back"
EVENT_CONFIG_CHANGED: Final = "config_changed"
EVENT_ATTEMPT_FAILED: Final = "attempt_failed"
EVENT_RESERVATIONS_LAPSED: Final = "reservations_lapsed"
EVENT_KEY_CHANGED: Final = "key_changed"
EVENT_SPOOL_REPLAYED: Final = "spool_replayed"
EVENT_SPOOL_DAMAGED: Final = "spool_damaged"
EVENT_SPOOL_REJECTED: Final = "spool_rejected"
EVENT_SPOOL_UNWRITABLE: Final = "spool_unwritable"
EVENT_LIBRARY: Final = "library_message"
EVENT_UNCAUGHT: Final = "uncaught_exception"

# Log fields -----------------------------------------------------------------------------------------------------------
FIELD_SERVICE: Final = "service"
FIELD_LOGGER: Final = "logger"
FIELD_MESSAGE: Final = "message"
FIELD_ERROR: Final = "error"
FIELD_REQUEST_ID: Final = "request_id"
FIELD_METHOD: Final = "method"
FIELD_CODE: Final = "code"
FIELD_REASON: Final = "reason"
FIELD_DURATION_MS: Final = "duration_ms"
FIELD_TENANT: Final = "tenant"
FIELD_USER: Final = "user"
FIELD_PEER: Final = "peer"
FIELD_RESOURCE: Final = "resource"
FIELD_PROVIDER: Final = "provider"
FIELD_MODEL: Final = "model"
FIELD_ATTEMPT: Final = "attempt"
FIELD_DEPENDENCY: Final = "dependency"
FIELD_REVISION: Final = "revision"
FIELD_COUNT: Final = "count"
FIELD_TRACE_ID: Final = "trace_id"
FIELD_SPAN_ID: Final = "span_id"

# Spans ----------------------------------------------------------------------------------------------------------------
# The span of an RPC is called by its full method name without the first slash.
SPAN_CHAT: Final = "chat"
"""One attempt at a provider; by convention followed by the model: `chat gpt-4o-mini`."""
SPAN_PLAN: Final = "gatehouse.plan_route"
SPAN_OPEN_KEY: Final = "gatehouse.open_key"
SPAN_RESERVE: Final = "gatehouse.reserve"
SPAN_SETTLE: Final = "gatehouse.settle"
SPAN_VAULT: Final = "gatehouse.vault"

# Attributes -----------------------------------------------------------------------------------------------------------
ATTR_OPERATION_NAME: Final = "gen_ai.operation.name"
ATTR_PROVIDER_NAME: Final = "gen_ai.provider.name"
ATTR_REQUEST_MODEL: Final = "gen_ai.request.model"
ATTR_REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
ATTR_REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
ATTR_REQUEST_TOP_P: Final = "gen_ai.request.top_p"
ATTR_REQUEST_SEED: Final = "gen_ai.request.seed"
ATTR_REQUEST_STREAM: Final = "gen_ai.request.stream"
ATTR_RESPONSE_ID: Final = "gen_ai.response.id"
ATTR_RESPONSE_MODEL: Final = "gen_ai.response.model"
ATTR_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
ATTR_OUTPUT_TYPE: Final = "gen_ai.output.type"
ATTR_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""By convention all input tokens, cached ones included."""
ATTR_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
"""By convention all output tokens, reasoning included."""
ATTR_CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
ATTR_CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
ATTR_REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
ATTR_TOKEN_TYPE: Final = "gen_ai.token.type"

ATTR_RPC_SYSTEM: Final = "rpc.system.name"
ATTR_RPC_METHOD: Final = "rpc.method"
ATTR_RPC_STATUS: Final = "rpc.response.status_code"
ATTR_ERROR_TYPE: Final = "error.type"
ATTR_SERVER_ADDRESS: Final = "server.address"
ATTR_SERVER_PORT: Final = "server.port"

ATTR_TENANT: Final = "gatehouse.tenant"
ATTR_REQUEST_ID: Final = "gatehouse.request_id"
ATTR_OPERATION_ID: Final = "gatehouse.operation_id"
ATTR_ATTEMPT: Final = "gatehouse.attempt"
ATTR_TASK: Final = "gatehouse.task"
ATTR_PROVIDER: Final = "gatehouse.provider"
"""The configured provider's resource name; `gen_ai.provider.name` is its type."""
ATTR_KEY_OWNER: Final = "gatehouse.key.owner"
ATTR_COST_NANO_USD: Final = "gatehouse.cost.nano_usd"
ATTR_REASON: Final = "gatehouse.reason"
ATTR_BATCH_SIZE: Final = "gatehouse.batch.size"
ATTR_DEPENDENCY: Final = "gatehouse.dependency"

# Values of attributes -------------------------------------------------------------------------------------------------
OPERATION_CHAT: Final = "chat"
TOKEN_TYPE_INPUT: Final = "input"
TOKEN_TYPE_OUTPUT: Final = "output"
RPC_SYSTEM_GRPC: Final = "grpc"

# Metrics --------------------------------------------------------------------------------------------------------------
METRIC_OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
METRIC_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
METRIC_TOKEN_USAGE: Final = "gen_ai.client.token.usage"
METRIC_RPC_SERVER_DURATION: Final = "rpc.server.call.duration"
METRIC_ATTEMPTS: Final = "gatehouse.attempts"
METRIC_COST: Final = "gatehouse.cost"
METRIC_BATCH_SIZE: Final = "gatehouse.batch.size"
METRIC_SPOOL_PENDING: Final = "gatehouse.spool.pending"
