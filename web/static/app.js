// What every signed-in page shares; each page works without it.
