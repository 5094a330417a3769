"""Pages for people: rendered here, no scripts."""
