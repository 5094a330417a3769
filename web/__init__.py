"""The web server: an API and pages to read; it only ever binds to loopback."""
