"""Files of the Collector's file exporter."""
