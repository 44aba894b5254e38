"""Helpers for tests: a manual clock's start, seeded ids, a real PostgreSQL with a fresh database for each test."""
