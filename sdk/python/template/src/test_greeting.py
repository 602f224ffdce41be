import unittest

from greeting import greeting


class Greeting(unittest.TestCase):
    def test_says_hello(self) -> None:
        self.assertEqual(greeting("Ada", shout=False), "Hello, Ada!")

    def test_shouts(self) -> None:
        self.assertEqual(greeting("Zoë", shout=True), "HELLO, ZOË!")


if __name__ == "__main__":
    unittest.main()
