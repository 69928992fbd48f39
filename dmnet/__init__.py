"""Semantic segmentation with dynamic multi-scale filters (DMNet, He, Deng and Qiao, ICCV 2019)."""

__version__ = "0.1.0"
