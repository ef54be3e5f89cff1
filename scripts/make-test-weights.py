#!/usr/bin/env python3
"""Writes a ResNet-50 with random weights as torchvision saves one, for the tests.

    make-test-weights.py OUT.pth [--legacy]

Needs torch and torchvision; exits with 3 when they are not there. --legacy writes the format before PyTorch 1.6.
"""

import sys

try:
    import torch
    import torchvision
except ImportError as e:
    print(e)
    sys.exit(3)

torch.manual_seed(0)
state = torchvision.models.resnet50(weights=None).state_dict()
torch.save(state, sys.argv[1], _use_new_zipfile_serialization="--legacy" not in sys.argv)
