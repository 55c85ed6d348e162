"""Reads what agents and collectors leave on disks, and turns it into units that are stored once."""
