"""Data quality: a worker in a process of its own judges every uploaded batch, and every source each night, with Great Expectations.

`suites` alone imports Great Expectations; everything else here may be imported by the hub.
"""
