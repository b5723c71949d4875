"""The ``robocache`` command: show that it works, look for what is wrong, compare with stored answers."""
