"""Figure 1: steps from files to report, each an artifact on disk."""
