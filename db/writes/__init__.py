"""What changes the database: one function a step, one transaction around it, safe to repeat."""
