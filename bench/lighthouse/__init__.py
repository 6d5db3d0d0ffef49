"""Lighthouse over the demonstration: home, a list, a proposal, a form; 1 where a score is below 95.

Its phone and its slow line are simulated; what they show is of this machine.
"""
