"""The order of jobs in time: which of the waiting jobs start now, and which running ones make way. Pure."""
