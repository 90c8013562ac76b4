"""HTTP towards the providers: connections, timers, streams of bytes."""
