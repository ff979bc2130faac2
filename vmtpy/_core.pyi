"""Types of the native core. The public names are documented where vmtpy re-exports them."""

# --- clock ---
class Clock:
    def now(self) -> float: ...

class SteadyClock(Clock):
    def __init__(self) -> None: ...

# --- backdoor, probe ---
class Backdoor: ...

# --- channel, rpci, tclo ---

# --- plan ---

# --- session, record, marker ---
class Os: ...

# --- agent ---
