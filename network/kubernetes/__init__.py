"""Manifests that are the same for every network; ``network.containers`` copies them beside the files of one network.

They are plain Kubernetes objects, so that they can be read, changed and kept under version control; what differs
between networks (how many nodes, the image, keys, genesis) stands in the ``kustomization.yaml`` that is written.
"""
