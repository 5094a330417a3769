"""Orchestration only; reads as the business process."""
