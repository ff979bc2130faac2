"""Leaving open-vm-tools: what its configuration and scripts become here, and what they do not."""
