"""What the service does, one module a task; the domain decides, storage keeps."""
