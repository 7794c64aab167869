"""What is wrong with a configuration, or with a file that it names."""


class ConfigError(ValueError):
    """Bad input: the configuration cannot be used. The message names the place."""
