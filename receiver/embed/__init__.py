"""Texts become vectors here, in worker processes of their own; and vectors are searched here."""
