"""gRPC in, gRPC out: one servicer per proto service and the conversion between messages and the domain."""
