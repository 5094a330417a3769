"""Pictures drawn by the server: SVG with classes, so that they follow light and dark."""
