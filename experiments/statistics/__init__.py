"""Statistics: intervals, significance and correlation; numpy only."""
