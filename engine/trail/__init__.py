"""The audit trail: what is put on record of every attempt, and how it is read, checked, exported.

The record itself is the log of events (`data.journal`); nothing here keeps a second one.
"""
