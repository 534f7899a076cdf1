"""Generated gRPC contracts of the compliance service."""
