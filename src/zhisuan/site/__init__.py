"""The site agent: one process beside a site's machines; it pulls work, meters it and delivers what it leaves."""
