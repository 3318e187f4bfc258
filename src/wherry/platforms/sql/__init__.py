"""The platform on a relational database: commit, delivery, records. Today SQLite."""
