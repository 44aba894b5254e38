"""The published protocol for clusters that share cards: tasks come until more is asked for than there is."""
