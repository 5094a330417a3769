"""PostgreSQL: models, session, reads, writes, migrations."""
