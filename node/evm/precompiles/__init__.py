"""Contracts at fixed addresses that are not EVM code (Yellow Paper, appendix E, and EIPs).

Each function takes the call data. Gas functions must be cheap for any input; ``run`` is called only after its
gas is paid. None means failure: all gas of the call is gone.
"""
