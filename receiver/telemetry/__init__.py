"""What the receiver says about itself: metrics declared once, logging, health."""
