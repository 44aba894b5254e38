"""Jobs over time: replays a trace of jobs through the policies of ``placement.ordering``."""
