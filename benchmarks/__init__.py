"""Measured on a real local stack: throughput beside a bare workflow, size of histories, lateness."""
