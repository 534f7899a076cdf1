"""The server: the repository over HTTPS; announcements, samples and the registry over gRPC."""
