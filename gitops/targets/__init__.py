"""Where endpoints live: one module for each kind of target, all behind the port `Target`."""
