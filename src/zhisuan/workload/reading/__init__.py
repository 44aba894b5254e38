"""Reading a workload file: YAML in, a checked specification or every problem with its place out."""
