"""Where training code runs: one adapter for each kind of machine, and what they share."""
