"""The command line. Modules import nothing heavy at their top: ``--help`` must not wait for a database."""
