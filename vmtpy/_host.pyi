"""Types of the emulated host and the means of tests."""

# --- device, emulated backdoor ---

# --- trap host ---

# --- faulty os, simulated disk, manual clock ---
