"""What the agent does beside snapshots: one noun a module, and all of them in service_set.py."""
