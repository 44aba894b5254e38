"""What runs on the nodes of the cluster: copied to the shared folder, so it needs only Python 3.9 and, for gangs, Ray."""
