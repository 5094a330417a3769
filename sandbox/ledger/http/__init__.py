"""The HTTP side: the routes, shapes and problems of Horizon, and the sandbox's own routes."""
