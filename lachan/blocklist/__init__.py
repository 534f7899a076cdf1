"""Generated gRPC contracts of the list authority."""
