"""The only code that speaks to Temporal as a client, and the local stack."""
