"""A long text read as a ring, so that every place gives a cut of every length."""


class Ring:
    """Cuts out of a text. first_place: where the cut of key 0 begins (any number)."""

    def __init__(self, text: str, first_place: int) -> None:
        self.text = text
        self._first_place = first_place
        # steps of the golden ratio keep any number of places evenly apart; left to chance, a dozen of
        # 2,000 sessions would share theirs with another
        self._step = round(len(text) * (5**0.5 - 1) / 2)

    def place(self, key: int) -> int:
        """Return where the cut of a key begins."""
        return (self._first_place + key * self._step) % len(self.text)

    def piece(self, chars: int, key: int) -> str:
        """Return the text of so many characters from a key's place on."""
        return self.after(self.place(key), chars)

    def before(self, end: int, size: int) -> str:
        """Return the `size` characters before a place."""
        return self.after((end - size) % len(self.text), size)

    def after(self, start: int, size: int) -> str:
        """Return the `size` characters from a place on."""
        parts = [self.text[start : start + size]]
        missing = size - len(parts[0])
        while missing > 0:
            parts.append(self.text[:missing])
            missing -= len(parts[-1])
        return "".join(parts)
