"""What is said. Knows nothing of plugins, so it is tested as any other Python."""


def greeting(name: str, *, shout: bool) -> str:
    """The greeting for somebody."""
    text = f"Hello, {name}!"
    return text.upper() if shout else text
