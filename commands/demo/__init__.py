"""The demo: mint requests from a CSV file, their people, and what becomes of them."""
