"""Project data: stored content, uploads in parts, volumes and their versions."""
