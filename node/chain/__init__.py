"""What this node knows and holds as head.

Three calls from consensus: new_payload, build_payload, forkchoice_updated.
"""
