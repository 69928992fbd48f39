"""The two drawn data sets, and how any data set is written in a published layout."""

from dmnet.worlds.demo import WORLDS as WORLDS
from dmnet.worlds.demo import DemoDataset as DemoDataset
from dmnet.worlds.layouts import write_layout as write_layout
