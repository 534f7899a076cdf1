"""What is set for the service: `compliance.yaml`, the registry of organisations, the law and the shapes of blocks."""
