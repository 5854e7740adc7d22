"""Customs (the VNACCS/VCIS side), which needs a ministry's result to clear goods."""
