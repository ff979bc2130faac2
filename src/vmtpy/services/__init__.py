"""What the agent does beside snapshots, one noun a module; `Services` in services.py is the sum."""
