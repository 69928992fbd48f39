"""What stands in a drawn figure."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def titles(figure: Figure) -> list[str]:
    """Return the title of every panel."""
    return [axis.get_title() for axis in figure.axes]


def texts(axis: Axes) -> list[str]:
    """Return what is written into a panel."""
    return [text.get_text() for text in axis.texts]
