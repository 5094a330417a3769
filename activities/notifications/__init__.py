"""Messages to people: rendering and the channels that carry them."""
