"""JSON for API clients."""
