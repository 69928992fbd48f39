"""Looking closer than mIoU: boundaries, sizes of objects, what a network costs."""
