"""The gRPC face: validates, authenticates, and hands to the use cases."""
