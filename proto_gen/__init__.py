"""Messages generated from columns.proto by scripts/generate_protos.py; do not edit."""
