"""The gRPC face of accounting: one servicer per proto service, and the conversions between protobuf and domain."""
