"""The engine as it was when objects went through it: the reference of the tests."""
