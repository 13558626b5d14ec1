"""The smallest whole program: a task, an actor, and refs that pass between them.

python examples/hello.py
"""

import thornback


@thornback.remote
def square(n: int) -> int:
    return n * n


@thornback.remote
class Tally:
    def __init__(self) -> None:
        self.total = 0

    def add(self, n: int) -> int:
        self.total += n
        return self.total


def main() -> None:
    thornback.init()  # starts a runtime of its own, or joins the one that THORNBACK_ADDRESS names

    squares = [square.remote(n) for n in range(10)]  # ten tasks, none waited for
    tally = Tally.remote()
    totals = [tally.add.remote(ref) for ref in squares]  # a ref as an argument: the actor gets the value

    print("squares:", thornback.get(squares))
    print("sum of them:", thornback.get(totals[-1]))  # calls run in the order in which they were made

    thornback.shutdown()


if __name__ == "__main__":
    main()
