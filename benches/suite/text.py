"""Figures and tables in Markdown."""

from statistics import median


def figure(value, digits=3):
    """A number with so many significant digits, and thousands apart."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    size = 0
    while abs(value) >= 10 ** (size + 1):
        size += 1
    while abs(value) < 10**size:
        size -= 1
    return f"{value:,.{max(digits - 1 - size, 0)}f}"


def spread(values, digits=3):
    """Median (least–most)."""
    values = list(values)
    if not values or any(value is None for value in values):
        return "–"
    middle, low, high = (figure(value, digits) for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def table(columns, rows):
    """Lines of a table; all columns but the first are set to the right."""
    rule = ["---"] + ["--:"] * (len(columns) - 1)
    lines = [columns, rule, *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def verdict(good):
    """How a figure stands to its budget."""
    return "met" if good else "**missed**"


def times(values, by):
    """The values in another unit."""
    return [None if value is None else value * by for value in values]
