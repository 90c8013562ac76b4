"""gRPC as every service speaks it: one server, one interceptor chain, channels, status mapping, batching."""
