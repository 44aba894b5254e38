"""The local engine: one sandboxed process tree per run, on this host, without a daemon."""
