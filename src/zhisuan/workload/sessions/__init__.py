"""Programs that run inside workspaces; each is one file of the standard library only."""
