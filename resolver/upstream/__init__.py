"""How upstreams are reached: sockets for the compiled core, and TCP for what does not fit a datagram."""
