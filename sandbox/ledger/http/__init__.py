"""The HTTP side of the sandbox ledger: the routes, shapes and problems of Horizon, and the sandbox's own routes."""
