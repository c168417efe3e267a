"""Services: what they cost beside what PostgreSQL alone needs, and what DaCHS does."""
