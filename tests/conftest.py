"""Makes tests/support importable: pytest puts the directory of this file on the path."""
