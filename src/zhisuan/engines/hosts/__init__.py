"""Runs work on several plain Linux hosts that stand behind one site: a daemon on each, one head in the site's agent."""
