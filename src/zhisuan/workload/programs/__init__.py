"""Programs that are sent to a site as text and run there, with the standard library only."""
