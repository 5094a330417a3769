"""Development stand-ins: what the demo and the tests talk to instead of the outside world."""
